package sqlite

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// keptStatements is how many compiled statements a connection keeps, those used last.
const keptStatements = 128

// Connector opens connections that keep the statements they have compiled, as pgx does for PostgreSQL: compiling a
// statement often takes SQLite longer than carrying it out, and database/sql's own prepared statements are compiled
// again in every transaction.
type Connector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c Connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	own, ok := opened.(rawConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is not the connection that this package was made for", opened),
			opened.Close())
	}
	return &conn{rawConn: own, statements: map[string]*list.Element{}, recent: list.New()}, nil
}

// rawConn is what the driver's connections can do.
type rawConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// rawStmt is what its statements can do, rawRows its rows.
type rawStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type rawRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// conn is a connection and its statements by their text. database/sql uses it from one goroutine at a time.
type conn struct {
	rawConn
	statements map[string]*list.Element
	recent     *list.List // of *statement, the one used last in front
}

// statement is a compiled statement. While its rows are being read it cannot be carried out again.
type statement struct {
	rawStmt
	query string
	busy  bool
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (_ driver.Result, err error) {
	ctx, span := begin(ctx, query)
	defer func() { trace.End(span, err) }()
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args)
	c.giveBack(s, err)
	return result, err
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx, span := begin(ctx, query)
	s, err := c.take(ctx, query)
	if err != nil {
		trace.End(span, err)
		return nil, err
	}
	opened, err := s.QueryContext(ctx, args)
	if err != nil {
		c.giveBack(s, err)
		trace.End(span, err)
		return nil, err
	}
	return &rows{rawRows: opened.(rawRows), closed: func(err error) {
		c.giveBack(s, err)
		trace.End(span, err)
	}}, nil
}

// rows gives its statement back when it is closed.
type rows struct {
	rawRows
	closed func(error)
}

// Close implements driver.Rows.
func (r *rows) Close() error {
	err := r.rawRows.Close()
	if r.closed != nil {
		r.closed(err)
		r.closed = nil
	}
	return err
}

// take returns a statement that is not busy, and marks it as busy.
func (c *conn) take(ctx context.Context, query string) (*statement, error) {
	kept := c.statements[query]
	if kept != nil && !kept.Value.(*statement).busy {
		c.recent.MoveToFront(kept)
		s := kept.Value.(*statement)
		s.busy = true
		return s, nil
	}
	compiled, err := c.rawConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &statement{rawStmt: compiled.(rawStmt), query: query, busy: true}
	if kept == nil {
		c.statements[query] = c.recent.PushFront(s)
		c.makeRoom()
	}
	return s, nil
}

// giveBack keeps a statement for its next use, unless it failed or another with its text is kept.
func (c *conn) giveBack(s *statement, err error) {
	s.busy = false
	kept := c.statements[s.query]
	switch {
	case kept == nil || kept.Value.(*statement) != s:
		_ = s.Close() // of no use any more, whatever it says
	case err != nil:
		c.drop(kept)
	}
}

func (c *conn) makeRoom() {
	for e := c.recent.Back(); e != nil && c.recent.Len() > keptStatements; {
		before := e.Prev()
		if !e.Value.(*statement).busy {
			c.drop(e)
		}
		e = before
	}
}

func (c *conn) drop(e *list.Element) {
	s := c.recent.Remove(e).(*statement)
	delete(c.statements, s.query)
	_ = s.Close() // of no use any more, whatever it says
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	for c.recent.Len() > 0 {
		c.drop(c.recent.Back())
	}
	return c.rawConn.Close()
}
