import requests

# Initialize client
api_key = "sk_your_api_key"
base_url = "http://localhost:5002"

# Validate license
response = requests.post(
    f"{base_url}/api/v1/license/validate",
    headers={"X-API-Key": api_key},
    json={
        "license_key": "LIC-XXXXXXXXXXXX",
        "hardware_id": "device-123"
    }
)

if response.status_code == 200:
    data = response.json()
    if data["valid"]:
        print("License is valid!")
