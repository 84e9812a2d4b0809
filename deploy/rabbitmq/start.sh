#!/bin/sh
# Starts the broker with its definitions made from the secrets, which RabbitMQ itself does not read into them.
set -eu
umask 077
sh /etc/latchkey/definitions.sh >/var/lib/rabbitmq/definitions.json
printf 'load_definitions = /var/lib/rabbitmq/definitions.json\n' >/etc/rabbitmq/conf.d/20-definitions.conf
exec docker-entrypoint.sh rabbitmq-server
