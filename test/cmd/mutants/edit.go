//go:build unix

package main

import (
	"errors"
	"go/ast"
	"go/token"
)

// edit changes the source at the place of a short text: a name or a condition, no more than it takes to find it.
type edit struct {
	find  string
	apply func(p place) (string, error)
}

// replace puts another text in the place of find.
func replace(find, by string) edit {
	return edit{find, func(p place) (string, error) { return p.text[:p.start] + by + p.text[p.end:], nil }}
}

// drop takes out the statement that holds find.
func drop(find string) edit {
	return edit{find, func(p place) (string, error) {
		_, statement, err := p.statement()
		if err != nil {
			return "", err
		}
		start, end := p.span(statement)
		return p.text[:start] + p.text[end:], nil
	}}
}

// earlier exchanges the statement that holds find and the one before it.
func earlier(find string) edit {
	return edit{find, func(p place) (string, error) {
		before, statement, err := p.statement()
		if err != nil {
			return "", err
		}
		if before == nil {
			return "", errors.New("there is no statement before it")
		}
		start, startEnd := p.span(before)
		last, end := p.span(statement)
		return p.text[:start] + p.text[last:end] + p.text[startEnd:last] + p.text[start:startEnd] + p.text[end:], nil
	}}
}

// never makes the condition that holds find, of an if or a case, false.
func never(find string) edit {
	return edit{find, func(p place) (string, error) {
		var condition ast.Expr
		ast.Inspect(p.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.IfStmt:
				if p.within(n.Cond) {
					condition = n.Cond
				}
			case *ast.CaseClause:
				if len(n.List) == 1 && p.within(n.List[0]) {
					condition = n.List[0]
				}
			}
			return true
		})
		if condition == nil {
			return "", errors.New("it is in no condition")
		}
		start, end := p.span(condition)
		return p.text[:start] + "false && (" + p.text[start:end] + ")" + p.text[end:], nil
	}}
}

// statement is the innermost statement of a block that holds the place, and the one before it in the block, if any.
func (p *place) statement() (before, statement ast.Stmt, err error) {
	ast.Inspect(p.file, func(n ast.Node) bool {
		var list []ast.Stmt
		switch n := n.(type) {
		case *ast.BlockStmt:
			list = n.List
		case *ast.CaseClause:
			list = n.Body
		}
		for i, s := range list {
			if !p.within(s) {
				continue
			}
			before, statement = nil, s
			if i > 0 {
				before = list[i-1]
			}
		}
		return true
	})
	if statement == nil {
		return nil, nil, errors.New("it is in no statement")
	}
	return before, statement, nil
}

func (p *place) within(n ast.Node) bool {
	start, end := p.span(n)
	return start <= p.start && p.end <= end
}

func (p *place) span(n ast.Node) (start, end int) {
	return offset(p.file, n.Pos()), offset(p.file, n.End())
}

// offset is where pos is in the text of its file, which is the only one of its file set.
func offset(f *ast.File, pos token.Pos) int { return int(pos - f.FileStart) }
