package otlp

import (
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// tellable is a span without what may be a secret or personal: whichever library made it, only the attributes that are
// listed here are sent. Messages of errors are not, because they may quote values.
type tellable struct{ sdk.ReadOnlySpan }

// told are the attributes that spans of all kinds have.
var told = map[attribute.Key]bool{
	"http.request.method": true, "http.route": true, "http.response.status_code": true, "url.scheme": true,
	"network.protocol.name": true, "network.protocol.version": true, "error.type": true,

	"rpc.system": true, "rpc.system.name": true, "rpc.service": true, "rpc.method": true,
	"rpc.connect_rpc.error_code": true, "rpc.response.status_code": true,

	// Statements have placeholders for their values.
	"db.system.name": true, "db.namespace": true, "db.operation.name": true, "db.query.text": true,
	"pgx.operation.type": true, "pgx.rows_affected": true, "pgx.sql_state": true,

	"messaging.destination.name": true, "messaging.operation.name": true, "messaging.operation.type": true,
	"messaging.batch.message_count": true, "messaging.message.id": true,

	"latchkey.error_code": true,
}

// toldByClients are those that name whom the program itself calls. In requests that it takes, callers choose them.
var toldByClients = map[attribute.Key]bool{"server.address": true, "server.port": true}

// Attributes implements sdk.ReadOnlySpan.
func (s tellable) Attributes() []attribute.KeyValue {
	var kept []attribute.KeyValue
	for _, a := range s.ReadOnlySpan.Attributes() {
		if told[a.Key] || toldByClients[a.Key] && s.SpanKind() == trace.SpanKindClient {
			kept = append(kept, a)
		}
	}
	return kept
}

// Events implements sdk.ReadOnlySpan: libraries put errors there.
func (tellable) Events() []sdk.Event { return nil }

// Status implements sdk.ReadOnlySpan.
func (s tellable) Status() sdk.Status { return sdk.Status{Code: s.ReadOnlySpan.Status().Code} }
