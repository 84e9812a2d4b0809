//go:build unix

package compose

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/test/brokerdefs"
)

// TestServicesPublishWhatTheContractGrants compares the events that the code of each service makes with the
// publishers that the contract names, of which the broker's permissions are made: a service whose event the broker
// refuses stays unheard.
func TestServicesPublishWhatTheContractGrants(t *testing.T) {
	made := map[string][]string{}
	for _, service := range suiteServices {
		for eventType := range eventsMadeIn(t, inRoot(t, "services/"+service)) {
			made[eventType] = append(made[eventType], service)
		}
	}
	for _, eventType := range event.Types() {
		granted := event.Publishers(eventType)
		slices.Sort(granted)
		if !slices.Equal(granted, made[eventType]) {
			t.Errorf("%s is published by %v; the option (publishers) in proto/latchkey/events names %v",
				eventType, made[eventType], granted)
		}
	}
	if len(made) == 0 {
		t.Error("found no event in any service: the test looks in the wrong place")
	}
}

// eventsMadeIn are the types of the event messages that the code below dir makes. A message that is made only to ask
// for its type (event.TypeOf) does not count.
func eventsMadeIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.Contains(path, "_test.go") ||
			strings.Contains(path, "storetest") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		maps.Copy(found, eventsMadeBy(file))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// madeFor are the functions of pkg that make a message for the service which calls them.
var madeFor = map[string]string{"audit.Entry": "AuditRecorded", "app.NewRefusals": "LicenseTokenRefused"}

func eventsMadeBy(file *ast.File) map[string]bool {
	found := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if message, ok := madeFor[name(n.Fun)]; ok {
				found[typeOf(message)] = true
			}
			return name(n.Fun) != "event.TypeOf"
		case *ast.CompositeLit:
			if message, ok := strings.CutPrefix(name(n.Type), "eventsv1."); ok {
				found[typeOf(message)] = true
			}
		}
		return true
	})
	delete(found, "") // a message that only stands in others
	return found
}

// name is package.identifier, "" for any other expression.
func name(e ast.Expr) string {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, _ := selector.X.(*ast.Ident)
	if pkg == nil {
		return ""
	}
	return pkg.Name + "." + selector.Sel.Name
}

// typeOf is the event type of the message with this name in latchkey.events.v1, "" when it is no event.
func typeOf(message string) string {
	found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("latchkey.events.v1." + message))
	if err != nil {
		return ""
	}
	return event.TypeOf(found.New().Interface())
}

// TestTopologyIsGenerated: the broker's definitions are those that the contracts and the services make today.
func TestTopologyIsGenerated(t *testing.T) {
	var want strings.Builder
	if err := brokerdefs.Write(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(inRoot(t, "deploy/rabbitmq/topology.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("deploy/rabbitmq/topology.json is not what scripts/gen makes:\n%s", diff)
	}
}
