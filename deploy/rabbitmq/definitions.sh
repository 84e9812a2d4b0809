#!/bin/sh
# Prints RabbitMQ's definitions: the virtual host "latchkey" and a user per service. Every service declares the exchanges and all
# queues, so that any may start first, and watches from a queue that the broker names. Beyond that, only analytics and admin
# take messages: each from its own queue and the dead letters of that. Passwords come from the environment.
set -eu
queues='(analytics\\.events|admin\\.audit)'
own='amq\\.gen-.*'
user() { printf '{"name": "%s", "password": "%s", "tags": "%s"}' "$1" "$2" "$3"; }
permission() {
  printf '{"user": "%s", "vhost": "latchkey", "configure": "^(latchkey\\\\.(events|invalidations)|%s(\\\\.dead)?|%s)$", ' "$1" "$queues" "$own"
  printf '"write": "^(latchkey\\\\.(events|invalidations)|amq\\\\.default|%s(\\\\.dead)?|%s)$", ' "$queues" "$own"
  # Declaring a queue that has dead letters takes the permission to read it.
  printf '"read": "^(latchkey\\\\.(events|invalidations)|%s%s|%s)$"}' "$queues" "$2" "$own"
}
cat <<JSON
{
  "vhosts": [{"name": "latchkey"}],
  "users": [
    $(user operator "$RABBITMQ_OPERATOR_PASSWORD" administrator),
    $(user auth "$AUTH_AMQP_PASSWORD" ""),
    $(user license "$LICENSE_AMQP_PASSWORD" ""),
    $(user analytics "$ANALYTICS_AMQP_PASSWORD" ""),
    $(user admin "$ADMIN_AMQP_PASSWORD" "")
  ],
  "permissions": [
    {"user": "operator", "vhost": "latchkey", "configure": ".*", "write": ".*", "read": ".*"},
    $(permission auth ""),
    $(permission license ""),
    $(permission analytics '|analytics\\.events\\.dead'),
    $(permission admin '|admin\\.audit\\.dead')
  ]
}
JSON
