#!/usr/bin/env bash
# A client of the LicenseSpring License API v4 in shell, with curl and openssl, written from its documents: client.sh URL ...
# What it works with is on standard input, as JSON. It goes the whole way of a license, at all URLs in turn, and verifies what it gets.
set -euo pipefail
urls=("$@") turn=0
given=$(cat)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() { echo "licensespring_client.sh: $*" >&2; exit 1; }
member() { sed -n "s/.*\"$1\":\(\"\([^\"]*\)\"\|\([0-9a-z.]*\)\).*/\2\3/p" <<<"$2"; }
api_key=$(member api_key "$given") shared_key=$(member shared_key "$given") key=$(member shell_key "$given")
product=$(member product "$given")

# sign prints the signature of a text, in base64.
sign() { printf %s "$1" | openssl dgst -sha256 -hmac "$shared_key" -binary | base64 -w 0; }

# call METHOD PATH STATUS [curl arguments]: answer is the body; the signature of a JSON answer is verified.
call() {
  local method=$1 path=$2 want=$3 date status signature
  shift 3
  date=$(LC_ALL=C TZ=GMT date '+%a, %d %b %Y %H:%M:%S GMT')
  status=$(curl --silent --show-error --max-time 60 --request "$method" "${urls[turn++ % ${#urls[@]}]}/api/v4/$path" \
    --header "Date: $date" --output "$folder/body" --dump-header "$folder/head" --write-out '%{http_code}' \
    --header "Authorization: algorithm=\"hmac-sha256\", headers=\"date\", signature=\"$(
      sign "licenseSpring"$'\n'"date: $date")\", apikey=\"$api_key\"" "$@")
  answer=$(cat "$folder/body")
  [[ $status == "$want" ]] || fail "$method $path answers $status, not $want: $answer"
  signature=$(sed -n 's/^[Ll]icense[Ss]ignature: *\([^\r]*\).*/\1/p' "$folder/head")
  if [[ $status == 200 && $answer == [\{\[]* ]]; then
    verify "$folder/body" "$signature" || fail "$path: the header LicenseSignature is not that of the body"
  fi
}

# verify FILE SIGNATURE, which is in base64.
verify() {
  base64 -d <<<"$2" >"$folder/signature"
  openssl dgst -sha256 -verify "$folder/public.pem" -signature "$folder/signature" "$1" >/dev/null
}

curl --silent --fail "${urls[0]}/api/v4/public_key" >"$folder/public.pem"
post=(--header 'Content-Type: application/json' --data)
me="\"product\":\"$product\",\"license_key\":\"$key\",\"hardware_id\":\"SHELL-1\""
query="product=$product&license_key=$key&hardware_id=SHELL-1"

call POST activate_license 200 "${post[@]}" "{$me,\"hostname\":\"shell\"}"
[[ $(member license_active "$answer$(member active "$answer")") != false ]] || fail "not active: $answer"
tr '[:upper:]' '[:lower:]' <<<"SHELL-1#$key#$(member validity_period "$answer" | sed 's/null//')" | tr -d '\n' >"$folder/text"
verify "$folder/text" "$(member license_signature "$answer")" || fail "license_signature is not that of the license: $answer"
call GET "check_license/?$query" 200
[[ $(member license_active "$answer") == true ]] || fail "not active: $answer"
call POST add_consumption 200 "${post[@]}" "{$me,\"consumptions\":3}"
[[ $(member total_consumptions "$answer") == 3 ]] || fail "3 consumptions were added: $answer"
call POST add_consumption/ 400 "${post[@]}" "{$me,\"consumptions\":100}"
[[ $(member code "$answer") == not_enough_consumptions ]] || fail "more than the limit: $answer"
call POST deactivate_license 200 "${post[@]}" "{$me}"
[[ $answer == license_deactivated ]] || fail "deactivated: $answer"

# Without a network: a file in the flat form, as base64 text.
# Two requests of one device must not have the same date, which is all that tells their signatures apart.
request() {
  local signature date
  date=$(LC_ALL=C TZ=GMT date --date="$2" '+%a, %d %b %Y %H:%M:%S GMT')
  signature=$(sign "licenseSpring"$'\n'"date: $date"$'\n'"$key"$'\n'"SHELL-2"$'\n'"$api_key")
  printf '{"request":"%s","request_id":"shell-%s","product":"%s","license_key":"%s","hardware_id":"SHELL-2","date":"%s","api_key":"%s","signature":"%s"}' \
    "$1" "$1" "$product" "$key" "$date" "$api_key" "$signature" | base64 -w 0
}
made=$(date --iso-8601=seconds)
call POST activate_offline 200 --header 'Content-Type: text/plain' --data "$(request activation "$made")"
signed=$(member license_signature_v2 "$answer")
sed 's/,"license_signature":.*/}/' <<<"$answer" | tr -d '\n' >"$folder/text"
verify "$folder/text" "$signed" || fail "license_signature_v2 is not that of the answer: $answer"
first=$answer
call POST activate_offline 200 --header 'Content-Type: text/plain' --data "$(request activation "$made")"
[[ $answer == "$first" ]] || fail "the same request got another answer: $answer"
call POST deactivate_offline 200 --header 'Content-Type: text/plain' --data "$(request deactivation "$made + 1 second")"
[[ $answer == license_deactivated ]] || fail "deactivated: $answer"

# What is wrong is refused in the form of the API.
shared_key=wrong
call GET "check_license?$query" 400
[[ $(member code "$answer") == signature_mismatch && $(member status "$answer") == 400 ]] || fail "a wrong signature: $answer"
echo "all is well"
