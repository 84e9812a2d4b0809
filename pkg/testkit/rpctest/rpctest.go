// Package rpctest lets tests speak between services: identities of the four services, doubles that any of them may ask,
// and a check of who may ask what.
package rpctest

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// identities are made once, so that all services of a test binary know each other.
var identities = sync.OnceValue(func() (all []rpc.Identity) {
	for _, service := range app.Services() {
		all = append(all, rpc.NewIdentity(service))
	}
	return all
})

// Identity is that of a service.
func Identity(service string) rpc.Identity {
	all := identities()
	return all[slices.IndexFunc(all, func(id rpc.Identity) bool { return id.Service == service })]
}

// Peers are the public keys of the four services.
func Peers() rpc.Peers {
	var entries []string
	for _, id := range identities() {
		entries = append(entries, id.PeerEntry())
	}
	peers, err := rpc.ParsePeers(entries)
	if err != nil {
		panic(err) // PeerEntry wrote them
	}
	return peers
}

// Introduce gives the settings of a service its identity and peers.
func Introduce(b *app.Base, service string) { b.Introduce(Identity(service), identities()...) }

// Client is the options of a client with which caller asks audience.
func Client(caller, audience string) []connect.ClientOption {
	return rpc.NewClientOptions(Identity(caller), audience)
}

// Serve is the options of a double of the named service, whose procedures, those of file, every service may ask.
func Serve(service string, file protoreflect.FileDescriptor) []connect.HandlerOption {
	callers := rpc.Callers{}
	for _, procedure := range Procedures(file) {
		callers[procedure] = app.Services()
	}
	return rpc.Serve(service, Peers(), callers)
}

// Procedures are those of all services in file, as Connect names them.
func Procedures(file protoreflect.FileDescriptor) (procedures []string) {
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		for j := range service.Methods().Len() {
			procedures = append(procedures, "/"+string(service.FullName())+"/"+string(service.Methods().Get(j).Name()))
		}
	}
	return procedures
}

// Front forwards every request to the internal handler of the named service, as admin does once it knows that by asks.
func Front(service string, internal http.Handler, by *rpc.Actor) http.Handler {
	to := rpc.NewGateway(Identity("admin"), service, "http://"+service,
		rpc.HTTPClient(httpx.InProcess{service: internal}))
	e := httpx.NewEngine(httpx.Options{Service: "admin", MaxBody: 10 << 20, Timeout: 20 * time.Second})
	e.NoRoute(httpx.Wrap(func(c *gin.Context) error { return to.Forward(c, by) }))
	return e
}
