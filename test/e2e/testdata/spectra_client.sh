#!/usr/bin/env bash
# A client of the Spectra Analyze licensing API, written from its documents: client.sh URL TOKEN CALL [ARGUMENT ...]
# It prints the status and the body of the answer. Calls: generate, information, status, upload FILE, and
# cloud NAME=VALUE ...
set -euo pipefail
url=$1 token=$2 call=$3
shift 3

request() {
	local answer
	answer=$(curl --silent --show-error --max-time 60 --write-out '\n%{http_code}' --header "Authorization: Token $token" "$@")
	echo "${answer##*$'\n'} ${answer%$'\n'*}"
}

json() {
	local text='' name value
	for member in "$@"; do
		name=${member%%=*} value=${member#*=}
		[[ $name == timeout || $name == proxy_port ]] || value="\"$value\""
		text+=", \"$name\": $value"
	done
	echo "{${text#, }}"
}

case $call in
	generate) request -X POST "$url/machine-id/generate" ;;
	information) request -X GET "$url/" ;;
	status) request -X GET "$url/status/" ;;
	upload) request -X PUT "$url/upload" --form "file=@$1" ;;
	cloud) request -X POST "$url/configure/cloud" --header 'Content-Type: application/json' --data "$(json "$@")" ;;
esac
