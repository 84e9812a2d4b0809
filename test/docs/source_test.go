package docs

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// packageTime has the constants of package time.
const packageTime = `package time
type Duration int64
const (
	Millisecond Duration = 1_000_000
	Second               = 1000 * Millisecond
	Minute               = 60 * Second
	Hour                 = 60 * Minute
)`

// source is what is known of the code: the constants of each package, as far as they need no other one than time.
type source struct {
	fset  *token.FileSet
	files map[string]*ast.File
	time  *types.Package
	types.Info
}

func newSource(t *testing.T) *source {
	s := &source{
		fset: token.NewFileSet(), files: map[string]*ast.File{},
		Info: types.Info{Types: map[ast.Expr]types.TypeAndValue{}},
	}
	file, err := parser.ParseFile(s.fset, "", packageTime, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.time = s.check(file)
	return s
}

// check computes constants. That other packages are not there is no matter.
func (s *source) check(files ...*ast.File) *types.Package {
	config := types.Config{Importer: s, Error: func(error) {}}
	p, _ := config.Check(files[0].Name.Name, s.fset, files, &s.Info)
	return p
}

// Import implements types.Importer.
func (s *source) Import(path string) (*types.Package, error) {
	if path == "time" {
		return s.time, nil
	}
	return nil, fmt.Errorf("%s is not looked into", path)
}

// file is one of the repository, which has been checked with its package.
func (s *source) file(name string) (*ast.File, error) {
	if s.files[name] != nil {
		return s.files[name], nil
	}
	dir := filepath.Dir(name)
	listed, err := build.ImportDir(filepath.Join(repository, dir), 0)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, base := range listed.GoFiles {
		file, err := parser.ParseFile(s.fset, filepath.Join(repository, dir, base), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files, s.files[filepath.Join(dir, base)] = append(files, file), file
	}
	s.check(files...)
	if s.files[name] == nil {
		return nil, fmt.Errorf("there is no %s", name)
	}
	return s.files[name], nil
}

// values are what a name stands for: a constant, a variable, the entries of a list, what a function returns; `a.b`, a
// member b in the declaration of a, or what is given to a call of b there; `Field:key`, what the tags of structs say.
// What is 0 or no constant is left out.
func (s *source) values(name, of string) (found []value, err error) {
	file, err := s.file(name)
	if err != nil {
		return nil, err
	}
	if field, key, ok := strings.Cut(of, ":"); ok {
		return tagged(file, field, key), nil
	}
	outer, member, _ := strings.Cut(of, ".")
	node, declared := declaration(file, outer)
	if node == nil {
		return nil, fmt.Errorf("%s declares no %s", name, outer)
	}
	for _, e := range parts(node, member) {
		is := s.Types[e]
		if is.Value == nil {
			continue
		}
		if n, _ := constant.Float64Val(constant.ToFloat(is.Value)); n != 0 {
			found = append(found, value{n, is.Type.String() == "time.Duration", declared})
		}
	}
	return found, nil
}

// declaration is the function, or the expression of the constant or variable, of a name, with its comments.
func declaration(in *ast.File, name string) (ast.Node, string) {
	for _, d := range in.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return f, name
		}
		group, ok := d.(*ast.GenDecl)
		for i := 0; ok && i < len(group.Specs); i++ {
			spec, _ := group.Specs[i].(*ast.ValueSpec)
			for j := 0; spec != nil && j < len(spec.Values); j++ {
				if spec.Names[j].Name == name {
					return spec.Values[j], name + " " + spec.Doc.Text() + spec.Comment.Text() + group.Doc.Text()
				}
			}
		}
	}
	return nil, ""
}

// parts are the expressions in a declaration that may be figures.
func parts(of ast.Node, member string) (found []ast.Expr) {
	if e, ok := of.(ast.Expr); ok && member == "" {
		found = append(found, e)
	}
	ast.Inspect(of, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if member == "" {
				found = append(found, n.Elts...)
			}
		case *ast.ReturnStmt:
			if member == "" {
				found = append(found, n.Results...)
			}
		case *ast.KeyValueExpr:
			if lastName(n.Key) == member {
				found = append(found, n.Value)
			}
		case *ast.AssignStmt:
			if lastName(n.Lhs[0]) == member {
				found = append(found, n.Rhs[0])
			}
		case *ast.CallExpr:
			if lastName(n.Fun) == member {
				found = append(found, n.Args...)
			}
		}
		return true
	})
	return found
}

// lastName is b of a.b, and b of b alone.
func lastName(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return "?"
}

// tagged is what the tags of the fields of a name have for a key.
func tagged(in *ast.File, field, key string) (found []value) {
	ast.Inspect(in, func(n ast.Node) bool {
		f, ok := n.(*ast.Field)
		if !ok || f.Tag == nil || len(f.Names) != 1 || f.Names[0].Name != field {
			return true
		}
		tag, _ := strconv.Unquote(f.Tag.Value)
		text := reflect.StructTag(tag).Get(key)
		if d, err := time.ParseDuration(text); err == nil {
			found = append(found, value{float64(d), true, field})
		} else if n, err := strconv.ParseFloat(text, 64); err == nil {
			found = append(found, value{n, false, field})
		}
		return true
	})
	return found
}
