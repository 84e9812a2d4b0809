"""A client of the LicenseSpring License API v4, written from its documentation: usage: client.py URL [URL ...], with what
it works with as JSON on standard input."""
import base64, concurrent.futures, email.utils, hashlib, hmac, json, sys, time, urllib.error, urllib.parse, urllib.request

given, urls = json.load(sys.stdin), sys.argv[1:]
turn = 0


def numbers_of(pem):
    """The modulus and exponent of an RSA key in PEM, read from its DER."""
    der = base64.b64decode("".join(pem.strip().splitlines()[1:-1]))

    def element(at):
        length, begin = der[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, begin = int.from_bytes(der[begin:begin + count], "big"), begin + count
        return begin, begin + length

    outer, _ = element(0)
    _, after_algorithm = element(outer)
    bits, _ = element(after_algorithm)
    key, _ = element(bits + 1)  # behind the number of unused bits
    n_begin, n_end = element(key)
    e_begin, e_end = element(n_end)
    return int.from_bytes(der[n_begin:n_end], "big"), int.from_bytes(der[e_begin:e_end], "big")


modulus, exponent = numbers_of(given["public_key_pem"])


def verify(text, signature):
    """RSASSA-PKCS1-v1_5 with SHA-256."""
    raw = base64.b64decode(signature, validate=True)
    size = (modulus.bit_length() + 7) // 8
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    want = prefix + hashlib.sha256(text.encode()).digest()
    want = b"\x00\x01" + b"\xff" * (size - len(want) - 3) + b"\x00" + want
    assert pow(int.from_bytes(raw, "big"), exponent, modulus) == int.from_bytes(want, "big"), "signature of " + text


def mac(key, text):
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def signed():
    date = email.utils.formatdate(usegmt=True)
    return {"Date": date, "Authorization": 'algorithm="hmac-sha256", headers="date", signature="%s", apikey="%s"' % (
        mac(given["shared_key"], "licenseSpring\ndate: " + date), given["api_key"])}


def call(method, path, body=None, headers=None, query=None, media="application/json"):
    """Status and text of a call of the next replica."""
    global turn
    turn += 1
    url = urls[turn % len(urls)] + "/api/v4/" + path
    if query:
        url += "?" + urllib.parse.urlencode(query)
    for _ in range(60):
        request = urllib.request.Request(url, body.encode() if body is not None else None,
                                         {**(headers or signed()), "Content-Type": media}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
                if answer.headers.get("LicenseSignature"):
                    verify(text, answer.headers["LicenseSignature"])
                return answer.status, text
        except urllib.error.HTTPError as refusal:
            text = refusal.read().decode()
            if refusal.code != 503:
                return refusal.code, text
            time.sleep(int(refusal.headers["Retry-After"]))  # a busy computer
    raise SystemExit("busy for too long: " + text)


def good(result):
    assert result[0] == 200, result
    return json.loads(result[1])


def refused(result, code, status=400):
    told = json.loads(result[1])
    assert result[0] == status == told["status"] and told["code"] == code and told["message"], (result, code)


def post(path, key, hardware_id, **more):
    return call("POST", path, json.dumps({"product": given["product"], "license_key": key, "hardware_id": hardware_id,
                                          **more}))


def get(path, key, hardware_id, **more):
    return call("GET", path, query={"product": given["product"], "license_key": key, "hardware_id": hardware_id, **more})


# One device, from its trial to the end.
trial = good(call("GET", "trial_key", query={"product": given["product"], "email": "Ada@example.com", "first_name": "Ada"}))
again = good(call("GET", "trial_key/", query={"product": given["product"], "email": "ada@example.com"}))
assert again == {"license_type": trial["license_type"], "is_trial": True, "license": trial["license_key"]}, again

key = given["license_key"]
refused(get("check_license", key, "PC-1"), "device_not_found")
made = good(post("activate_license/", key, "PC-1", hostname="desk", variables={"room": "4.12"}))
verify(("PC-1#" + key + "#" + (made["validity_period"] or "")).lower(), made["license_signature"])
checked = good(get("check_license", key, "PC-1"))
assert checked["license_active"] and checked["device_id"] == made["device_id"], checked
assert good(get("get_device_variables", key, "PC-1"))[0]["value"] == "4.12"
assert good(post("track_device_variables", key, "PC-1", variables={"room": "5"}))[0]["value"] == "5"
details = good(call("GET", "product_details", query={"product": given["product"]}))
assert details["short_code"] == given["product"] and details["allow_trial"], details

# Forty calls at once through all replicas: as many seats and consumptions as there are, and no more.
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    seats = list(pool.map(lambda i: post("activate_license", key, "race-%d" % i)[0], range(40)))
    assert seats.count(200) == given["seats"] - 1, seats
    counts = list(pool.map(lambda i: post("add_consumption", key, "PC-1")[0], range(40)))
    assert counts.count(200) == given["consumptions"], counts
refused(post("add_consumption", key, "PC-1"), "not_enough_consumptions")

# Client credentials in the place of the signature.
where = good(call("GET", "oauth_url", query={"login_type": "client_credentials"}))
assert where["url"].endswith("/api/v4/oauth/token"), where
form = {"grant_type": "client_credentials", "client_id": given["client_id"], "client_secret": given["client_secret"]}
token = good(call("POST", "oauth/token", urllib.parse.urlencode(form), {"Accept": "*/*"},
                  media="application/x-www-form-urlencoded"))
bearer = {"Authorization": "Bearer " + token["access_token"]}
query = {"product": given["product"], "license_key": key, "hardware_id": "PC-1"}
assert token["expires_in"] == 480 and good(call("GET", "check_license", headers=bearer, query=query))
refused(call("GET", "check_license", headers={"Authorization": "Bearer x"}, query=query), "oauth_token_malformed")

# A computer without a network, by files in both forms.
for wrapped in (False, True):
    offline, hardware_id = given["offline_key"], "air-%d" % wrapped

    def file(operation):
        date = "Wed Jan 1 2025 00:00:%02d GMT+0000" % len(operation)
        flat = "\n".join(["licenseSpring", "date: " + date, offline, hardware_id, given["api_key"]])
        inner = {"request": operation, "request_id": operation + hardware_id, "license_key": offline,
                 "hardware_id": hardware_id, "product": given["product"], "date": date, "api_key": given["api_key"]}
        if not wrapped:
            inner["signature"] = mac(given["shared_key"], flat)
            return base64.b64encode(json.dumps(inner).encode()).decode() + "\n"
        text = json.dumps({**inner, "schema_version": 2})
        whole = '{"request": %s, "signature": "%s"}' % (text, mac(given["shared_key"], text))
        return base64.b64encode(whole.encode()).decode()

    status, text = call("POST", "activate_offline", file("activation"), media="text/plain")
    license = good((status, text))
    covered = text[:text.index(',"license_signature":')] + "}"
    verify(covered, license["license_signature_v2"])
    assert license["request_id"] == "activation" + hardware_id
    lines = ["licenseSpring", "date: " + license["date"], offline, hardware_id, given["api_key"]]
    assert license["offline_signature"] == mac(given["shared_key"], "\n".join(lines))
    assert call("POST", "activate_offline", file("activation"), media="text/plain")[1] == text
    refused(post("deactivate_license", offline, hardware_id), "offline_token_active")
    assert call("POST", "deactivate_offline", file("deactivation"), media="text/plain") == (200, "license_deactivated")

# A floating license: a check takes a slot, another device waits until it is given back.
floating = given["floating_key"]
assert good(post("activate_license", floating, "one"))["is_floating_cloud"] and good(post("activate_license", floating, "two"))
assert good(get("check_license", floating, "one"))["floating_in_use_devices"] == 1
refused(get("check_license", floating, "two"), "floating_slots_exceeded")
assert post("floating/release", floating, "one")[0] == 200
assert good(post("floating/borrow", floating, "two", borrowed_until=None))["borrowed_until"]
assert good(get("check_license", floating, "two"))["is_borrowed"]

# A bundle: all of its products at once, then one of them.
bundle = {"product": given["bundle"], "license_key": given["bundle_key"], "hardware_id": "PC-1"}
all = good(call("POST", "activate_bundle", json.dumps(bundle)))
assert [one["product_details"]["short_code"] for one in all] == given["bundled"], all
assert len(good(call("GET", "check_bundle", query=bundle))) == len(all)
assert good(get("check_license", given["bundle_key"], "PC-1", bundle_code=given["bundle"]))["license_active"]
assert call("POST", "deactivate_bundle", json.dumps(bundle)) == (200, "license_deactivated")

assert post("deactivate_license", key, "PC-1") == (200, "license_deactivated")
for _ in range(50):  # the other replicas hear of it within a second
    if get("check_license", key, "PC-1")[0] == 400:
        break
    time.sleep(0.1)
for _ in urls:
    refused(get("check_license", key, "PC-1"), "device_not_found")
refused(call("GET", "nowhere"), "not_found", 404)
print("all is well")
