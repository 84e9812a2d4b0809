module github.com/latchkey-dev/latchkey/proto

go 1.26.0

require (
	connectrpc.com/connect v1.21.1
	github.com/golang-jwt/jwt/v5 v5.3.1
	golang.org/x/text v0.43.0
	google.golang.org/protobuf v1.36.12
)

replace github.com/latchkey-dev/latchkey/pkg => ../pkg

replace github.com/latchkey-dev/latchkey/services/admin => ../services/admin

replace github.com/latchkey-dev/latchkey/services/analytics => ../services/analytics

replace github.com/latchkey-dev/latchkey/services/auth => ../services/auth

replace github.com/latchkey-dev/latchkey/services/license => ../services/license

replace github.com/latchkey-dev/latchkey/services/standalone => ../services/standalone

replace github.com/latchkey-dev/latchkey/test => ../test
