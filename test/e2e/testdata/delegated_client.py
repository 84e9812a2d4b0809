"""A client of delegated keys, written from the documents of the protocol: usage: client.py MASTER_KEY CREDITS URL [URL ...]"""
import base64, concurrent.futures, json, subprocess, sys, tempfile, time, urllib.error, urllib.request

master, credits, urls, pem = sys.argv[1], int(sys.argv[2]), sys.argv[3:], sys.stdin.read()


def post(url, path, **members):
    # The published client joins its text together; it does not parse answers either.
    body = "{" + ",".join('"%s":"%s"' % m for m in members.items()) + "}"
    request = urllib.request.Request(url + path, body.encode(), {"Content-Type": "application/json; charset=UTF-8"})
    for attempt in range(60):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            text = refusal.read().decode()
            if refusal.code != 503:
                return refusal.code, text
            time.sleep(int(refusal.headers["Retry-After"]))  # a busy computer
    raise SystemExit("busy for too long: " + text)


def token_of(text):
    at = text.find('"token":')
    if at < 0:
        return None
    begin = at + len('"token":') + 1
    return text[begin:text.index('",', begin)]


def check(token, runtime_key):
    raw = base64.b64decode(token, validate=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("sig", raw[:64]), ("json", raw[64:]), ("pem", pem.encode())):
            with open(folder + "/" + name, "wb") as f:
                f.write(data)
        subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", folder + "/pem", "-rawin", "-in",
                        folder + "/json", "-sigfile", folder + "/sig"], check=True, stdout=subprocess.DEVNULL)
    assert json.loads(raw[64:])["runtime_key"] == runtime_key, raw


def slave(i):
    status, text = post(urls[i % len(urls)], "/slaves", masterKey=master, comment="customer %d" % i)
    assert status == 200, (status, text)
    made = json.loads(text)
    assert list(made) == ["organisation", "master", "used", "createDate", "key"] and made["used"] is False, text
    return made["key"]


def activate(i, key, runtime_key):
    return post(urls[i % len(urls)], "/activate", masterOrSlaveKey=key, runtimeKey=runtime_key)


# Each of so many devices has a slave key of its own, and activates four times at once, at every replica; two devices
# more than there are credits.
devices = ["%s" % base64.b64encode(b"device %d" % i).decode() for i in range(credits + 2)]
slaves = [slave(i) for i in range(len(devices))]
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    calls = [(d, pool.submit(activate, n, slaves[d], devices[d])) for n in range(4) for d in range(len(devices))]
    answers = [(d, *call.result()) for d, call in calls]
tokens = {}
for d, status, text in answers:
    token = token_of(text)
    assert (status == 201) == (token is not None) and status in (201, 400), (status, text)
    if token:
        assert tokens.setdefault(d, token) == token, "a device got two tokens"
assert len(tokens) == credits, (len(tokens), credits)
for d, token in tokens.items():
    check(token, devices[d])
    status, text = activate(d + 1, slaves[d], devices[d])
    assert status == 201 and text.endswith('"totalCredit":%d,"usedCredit":%d}' % (credits, credits)), text
    assert activate(d, slaves[d], "another")[0] == 400
assert post(urls[0], "/slaves", masterKey=master, comment='a "quoted" word')[0] == 400
assert post(urls[0], "/activate/", masterOrSlaveKey=master, runtimeKey=devices[min(tokens)])[0] == 201
print("all is well")
