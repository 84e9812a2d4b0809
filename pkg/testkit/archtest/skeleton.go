package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxFacade is how many lines the facade of a service has at most: it builds, and does nothing else.
const maxFacade = 80

// parts are the files and folders of a service, and what they are for. NAME is the service's.
var parts = []struct{ path, purpose string }{
	{"NAME.go", "the facade: New builds the service"},
	{"config.go", "the settings"},
	{"commands.go", "the program and its commands"},
	{"jobs.go", "what runs beside serving"},
	{"cmd/NAME/main.go", "the program"},
	{"internal/api/routes.go", "the whole public surface"},
	{"internal/peers/peers.go", "the clients of the peer services"},
	{"internal/store/store.go", "the database"},
	{"internal/store/store_test.go", "its tests on both engines"},
	{"internal/store/migrations/postgres", "the schema on PostgreSQL"},
	{"internal/store/migrations/sqlite", "the schema on SQLite"},
}

// functions are what a file of a service declares, if the folder is there.
var functions = []struct{ file, name string }{
	{"NAME.go", "New"},
	{"config.go", "DefaultConfig"},
	{"commands.go", "Program"},
	{"jobs.go", "Run"},
	{"internal/api/routes.go", "Routes"},
	{"internal/manage/routes.go", "Routes"},
	{"internal/rpc/rpc.go", "NewHandler"},
	{"internal/store/store.go", "New"},
}

// folders are what the folders of internal that are no rules may not import. Names without a slash are of the service's
// own.
var folders = map[string][]string{
	"api":     {"gorm.io/", "store", "rpc", "github.com/rabbitmq/"},
	"manage":  {"gorm.io/", "store", "api", "rpc", "github.com/rabbitmq/"},
	"rpc":     {"gorm.io/", "store", "api", "manage", "github.com/gin-gonic/", "github.com/rabbitmq/"},
	"peers":   {"gorm.io/", "store", "api", "manage", "rpc", "github.com/gin-gonic/", "github.com/rabbitmq/"},
	"dialect": {"gorm.io/", "store", "api", "wire", "rpc", "github.com/rabbitmq/"},
	"wire":    {"gorm.io/", "store", "api", "manage", "rpc", "github.com/rabbitmq/"},
	"store":   {"api", "manage", "rpc", "peers", "github.com/gin-gonic/", "github.com/rabbitmq/"},
}

// rules are what the other folders of internal, which hold the rules, may not import.
var rules = []string{
	"api", "manage", "rpc", "peers", "store", "gorm.io/", "github.com/gin-gonic/", "github.com/rabbitmq/", "net/http",
	"database/sql",
}

// Skeleton fails t for everything in which the service in the folder dir, called as the folder, departs from what all
// services look like, each in a sentence.
func Skeleton(t testing.TB, dir string) {
	t.Helper()
	s := service{t, dir, filepath.Base(dir)}
	for _, part := range parts {
		if path := s.path(part.path); !exists(path) {
			t.Errorf("%s is missing: %s", path, part.purpose)
		}
	}
	for _, f := range functions {
		if path := s.path(f.file); exists(filepath.Dir(path)) && !declares(s.parse(path), f.name) {
			t.Errorf("%s lacks the function %s, which all services have there", path, f.name)
		}
	}
	facade, err := os.ReadFile(s.path("NAME.go"))
	if lines := bytes.Count(facade, []byte("\n")); err == nil && lines >= maxFacade {
		t.Errorf(
			"%s has %d lines: a facade has fewer than %d, and leaves the work to jobs.go, commands.go and internal",
			s.path("NAME.go"), lines, maxFacade)
	}
	s.checkFolders()
}

// service is the service that Skeleton looks at.
type service struct {
	testing.TB
	dir, name string
}

func (s service) path(path string) string {
	return filepath.Join(s.dir, strings.ReplaceAll(path, "NAME", s.name))
}

func (s service) checkFolders() {
	found, err := os.ReadDir(s.path("internal"))
	if err != nil {
		s.Errorf("%s has no folder internal: %v", s.dir, err)
	}
	for _, folder := range found {
		forbidden, known := folders[folder.Name()]
		if !known {
			forbidden = rules
		}
		files, _ := filepath.Glob(s.path(filepath.Join("internal", folder.Name(), "*.go")))
		below, _ := filepath.Glob(s.path(filepath.Join("internal", folder.Name(), "*", "*.go")))
		for _, path := range append(files, below...) {
			if strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "storetest" {
				continue
			}
			file := s.parse(path)
			s.checkImports(path, file, forbidden)
			if !known {
				s.checkRules(path, file)
			}
		}
	}
}

func (s service) checkImports(path string, file *ast.File, forbidden []string) {
	const services = "github.com/latchkey-dev/latchkey/services/"
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		own, isOwn := strings.CutPrefix(imported, services+s.name+"/internal/")
		if !isOwn && strings.HasPrefix(imported, services) {
			s.Errorf("%s imports %s, of another service: ask it through internal/peers", path, imported)
		}
		if slices.ContainsFunc(forbidden, func(f string) bool {
			return own == f || imported == f || strings.HasSuffix(f, "/") && strings.HasPrefix(imported, f)
		}) {
			s.Errorf("%s imports %s, which is not for this folder: see docs/architecture.md",
				path, imported)
		}
	}
}

// checkRules looks for what other files of the rules are for.
func (s service) checkRules(path string, file *ast.File) {
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				_, ok := spec.Type.(*ast.InterfaceType)
				if ok && spec.Name.IsExported() && filepath.Base(path) != "ports.go" {
					s.Errorf("%s declares the interface %s: what rules need of others is in ports.go", path, spec.Name)
				}
			case *ast.ValueSpec:
				if general.Tok == token.VAR && refuses(spec) && filepath.Base(path) != "errors.go" {
					s.Errorf("%s declares %s: what rules refuse with is in errors.go", path, spec.Names[0])
				}
			}
		}
	}
}

// refuses reports whether a variable is an error made by package apierr.
func refuses(spec *ast.ValueSpec) (found bool) {
	ast.Inspect(spec, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == "New" {
			x, ok := selector.X.(*ast.Ident)
			found = found || ok && x.Name == "apierr"
		}
		return !found
	})
	return found
}

// parse reads a file; one that is not there declares nothing.
func (s service) parse(path string) *ast.File {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil && !os.IsNotExist(err) {
		s.Errorf("%v", err)
	}
	if file == nil {
		return &ast.File{}
	}
	return file
}

func declares(file *ast.File, name string) bool {
	return slices.ContainsFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Name.Name == name
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
