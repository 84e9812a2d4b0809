package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// begin begins the span of a statement, which has placeholders for its values. Where nothing is recorded, the span is
// one that does nothing.
func begin(ctx context.Context, query string) (context.Context, oteltrace.Span) {
	if !trace.Recording(ctx) {
		return ctx, oteltrace.SpanFromContext(ctx)
	}
	operation := "SQL"
	if words := strings.Fields(query); len(words) > 0 {
		operation = strings.ToUpper(words[0])
	}
	return trace.Start(ctx, operation, oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		attribute.String("db.system.name", "sqlite"),
		attribute.String("db.operation.name", operation),
		attribute.String("db.query.text", query),
	))
}

// BeginTx implements driver.ConnBeginTx.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	_, span := begin(ctx, "BEGIN")
	tx, err := c.rawConn.BeginTx(ctx, o)
	trace.End(span, err)
	if err != nil || !trace.Recording(ctx) {
		return tx, err
	}
	return tracedTx{tx, ctx}, nil
}

// tracedTx is a transaction whose end is recorded: there it waits for the disk.
type tracedTx struct {
	driver.Tx
	ctx context.Context
}

// Commit implements driver.Tx.
func (t tracedTx) Commit() error {
	_, span := begin(t.ctx, "COMMIT")
	err := t.Tx.Commit()
	trace.End(span, err)
	return err
}
