// A client of the LicenseSpring License API v4 for Node, written from its documentation, which verifies answers as it
// would print them itself: usage: node client.js URL, with what it works with as JSON on standard input.
const crypto = require("node:crypto"), fs = require("node:fs"), assert = require("node:assert");

const given = JSON.parse(fs.readFileSync(0, "utf8")), url = process.argv[2];
const hmac = (text) => crypto.createHmac("sha256", given.shared_key).update(text).digest("base64");

function verify(text, signature) {
  const good = crypto.createVerify("RSA-SHA256").update(text).verify(given.public_key_pem, signature, "base64");
  assert(good, "the signature of " + text);
}

async function call(method, path, body) {
  const date = new Date().toUTCString(), signature = hmac(`licenseSpring\ndate: ${date}`);
  const answer = await fetch(`${url}/api/v4/${path}`, {
    method,
    body: body && JSON.stringify(body),
    headers: {
      "Content-Type": "application/json",
      Date: date,
      Authorization: `algorithm="hmac-sha256",headers="date",signature="${signature}",apikey="${given.api_key}"`,
    },
  });
  const text = await answer.text();
  assert.strictEqual(answer.status, 200, text);
  if (!answer.headers.get("content-type").startsWith("application/json")) return text;
  verify(JSON.stringify(JSON.parse(text)), answer.headers.get("licensesignature"));
  return JSON.parse(text);
}

(async () => {
  const named = { product: given.product, license_key: given.node_key, hardware_id: "Node-1" };
  const made = await call("POST", "activate_license", { ...named, vm_info: null, variables: { ü: "<&\u2028>" } });
  const period = made.validity_period ? new Date(made.validity_period).toISOString() : "";
  verify(`Node-1#${given.node_key}#${period}`.toLowerCase(), made.license_signature);
  assert.strictEqual(made.metadata["1"], "one");
  const query = new URLSearchParams(named);
  assert.strictEqual((await call("GET", `check_license?${query}`)).license_active, true);
  assert.strictEqual((await call("GET", `get_device_variables/?${query}`))[0].value, "<&\u2028>");
  assert.strictEqual(await call("POST", "deactivate_license", named), "license_deactivated");
  console.log("all is well");
})();
