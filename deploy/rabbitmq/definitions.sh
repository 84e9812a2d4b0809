#!/bin/sh
# Prints RabbitMQ's definitions: a user per service, with the password of the URL in the file that the service reads, too, and
# topology.json, which scripts/gen writes: the virtual host "latchkey", what exists there, and what each user may do. A service
# publishes the events that the contract says are its own, and consumes its own queue and the dead letters of that; it declares
# nothing but the queues that its caches listen with. To let a further service publish an event, name it in `publishers` of the
# event's message (proto/latchkey/events/v1) and run `make gen`.
set -eu
password() { sed -n 's#^[a-z]*://[^:]*:\([^@]*\)@.*#\1#p' "$1"; }
user() { printf '{"name": "%s", "password": "%s", "tags": "%s"}' "$1" "$2" "$3"; }
cat <<JSON
{
  "users": [
    $(user operator "$(cat "$RABBITMQ_OPERATOR_PASSWORD_FILE")" administrator),
    $(user auth "$(password "$AUTH_AMQP_URL_FILE")" ""),
    $(user license "$(password "$LICENSE_AMQP_URL_FILE")" ""),
    $(user analytics "$(password "$ANALYTICS_AMQP_URL_FILE")" ""),
    $(user admin "$(password "$ADMIN_AMQP_URL_FILE")" "")
  ],
JSON
sed 1d "$(dirname "$0")/topology.json" # without its opening brace
