const apiKey = 'sk_your_api_key';
const baseUrl = 'http://localhost:5002';

// Validate license
fetch(`${baseUrl}/api/v1/license/validate`, {
    method: 'POST',
    headers: {
        'X-API-Key': apiKey,
        'Content-Type': 'application/json'
    },
    body: JSON.stringify({
        license_key: 'LIC-XXXXXXXXXXXX',
        hardware_id: 'device-123'
    })
})
.then(response => response.json())
.then(data => {
    if (data.valid) {
        console.log('License is valid!');
    }
});
