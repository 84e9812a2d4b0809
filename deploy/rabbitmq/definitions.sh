#!/bin/sh
# Prints RabbitMQ's definitions: a user per service, with passwords from the environment, and topology.json, which scripts/gen
# writes: the virtual host "latchkey", what exists there, and what each user may do. A service publishes the events that the
# contract says are its own, and consumes its own queue and the dead letters of that; it declares nothing but the queues that its
# caches listen with.
set -eu
user() { printf '{"name": "%s", "password": "%s", "tags": "%s"}' "$1" "$2" "$3"; }
cat <<JSON
{
  "users": [
    $(user operator "$RABBITMQ_OPERATOR_PASSWORD" administrator),
    $(user auth "$AUTH_AMQP_PASSWORD" ""),
    $(user license "$LICENSE_AMQP_PASSWORD" ""),
    $(user analytics "$ANALYTICS_AMQP_PASSWORD" ""),
    $(user admin "$ADMIN_AMQP_PASSWORD" "")
  ],
JSON
sed 1d "$(dirname "$0")/topology.json" # without its opening brace
