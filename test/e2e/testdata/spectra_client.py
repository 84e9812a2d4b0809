"""A client of the Spectra Analyze licensing API, written from its documents: client.py URL TOKEN CALL [ARGUMENT ...]

It prints the status and the body of the answer. Calls: generate, information, status, upload FILE, and
cloud NAME=VALUE ...
"""
import json, sys, urllib.error, urllib.request

url, token, call, arguments = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]


def request(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers["Authorization"] = "Token " + token
    asked = urllib.request.Request(url + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def upload(path):
    # The documents' sample names every file "license", and gives the part the type of the form.
    boundary = "5c1f0f9e6a2d4b7f"
    with open(path, "rb") as f:
        content = f.read()
    head = '--%s\r\nContent-Disposition: form-data; name="file"; filename="license"\r\n' % boundary
    body = head.encode() + b"Content-Type: multipart/form-data\r\n\r\n" + content + b"\r\n--%s--\r\n" % boundary.encode()
    return request("PUT", "/upload", body, Content_Type="multipart/form-data; boundary=" + boundary)


def cloud(*members):
    body = {}
    for member in members:
        name, value = member.split("=", 1)
        body[name] = int(value) if name in ("timeout", "proxy_port") else value
    return request("POST", "/configure/cloud", json.dumps(body).encode(), Content_Type="application/json")


calls = {
    "generate": lambda: request("POST", "/machine-id/generate", b""),
    "information": lambda: request("GET", "/"),
    "status": lambda: request("GET", "/status/"),
    "upload": upload,
    "cloud": cloud,
}
print("%d %s" % calls[call](*arguments))
