#!/bin/sh
# Makes an API key and a license, activates and validates it, and ends both again. It asks AUTH_URL, LICENSE_URL and ADMIN_URL,
# with the admin secret and an admin key from the files ADMIN_SECRET_FILE and ADMIN_API_KEY_FILE. It needs curl.
set -eu

# call METHOD URL HEADER CREDENTIAL [BODY] prints the answer. The credential is no argument of a program, which others could see.
call() {
  method=$1 url=$2 header=$3 credential=$4
  shift 4
  answer=$(printf '%s: %s\n' "$header" "$credential" |
    curl --silent --show-error --fail-with-body --max-time 20 --request "$method" --header @- \
      --header 'Content-Type: application/json' ${1:+--data "$1"} "$url") || {
    echo "FAILED: $method $url: $answer" >&2
    return 1
  }
  printf %s "$answer"
}

# member NAME prints a member of the JSON on standard input that is a text, a number or a boolean.
member() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }

admin_secret=$(cat "$ADMIN_SECRET_FILE") admin_key=$(cat "$ADMIN_API_KEY_FILE") api_key_id='' license_id=''
# finish is run however this ends.
finish() {
  [ -z "$license_id" ] ||
    call DELETE "$ADMIN_URL/api/v1/admin/licenses/$license_id" X-Admin-API-Key "$admin_key" >/dev/null
  [ -z "$api_key_id" ] ||
    call DELETE "$AUTH_URL/api/v1/auth/api-keys/$api_key_id" X-Admin-Secret "$admin_secret" >/dev/null
}
trap finish EXIT

made=$(call POST "$AUTH_URL/api/v1/auth/api-key" X-Admin-Secret "$admin_secret" \
  '{"client_name": "smoke test", "allowed_endpoints": ["*"]}')
api_key=$(printf %s "$made" | member api_key) api_key_id=$(printf %s "$made" | member id)
made=$(call POST "$ADMIN_URL/api/v1/admin/licenses" X-Admin-API-Key "$admin_key" \
  '{"customer_id": "smoke-test", "max_devices": 1, "is_test": true}')
license_key=$(printf %s "$made" | member license_key) license_id=$(printf %s "$made" | member license_id)

device="{\"license_key\": \"$license_key\", \"hardware_id\": \"smoke-test\"}"
call POST "$LICENSE_URL/api/v1/license/activate" X-API-Key "$api_key" "$device" >/dev/null
valid=$(call POST "$LICENSE_URL/api/v1/license/validate" X-API-Key "$api_key" "$device" | member valid)
[ "$valid" = true ] || { echo "FAILED: a fresh license is not valid" >&2; exit 1; }
echo "A license was made, activated and validated."
