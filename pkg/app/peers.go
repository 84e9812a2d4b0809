package app

import (
	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// gateway is the service that forwards the requests of administrators.
const gateway = "admin"

// NewClient makes a client of the named peer service by its generated constructor:
//
//	auth := app.NewClient(core, "auth", authv1connect.NewAuthServiceClient)
func NewClient[T any](c *Core, peer string, generated func(connect.HTTPClient, string, ...connect.ClientOption) T) T {
	options := rpc.NewClientOptions(c.identity, peer)
	if c.Traces != nil {
		options = append(options, rpc.Traced(c.Traces))
	}
	return generated(rpc.HTTPClient(c.HTTP), c.base.peerURL(peer), options...)
}

// NewGateway makes the gateway to the named peer service.
func NewGateway(c *Core, peer string) *rpc.Gateway {
	client := rpc.HTTPClient(c.HTTP)
	if c.Traces != nil {
		client = rpc.TracedClient(client, c.Traces)
	}
	return rpc.NewGateway(c.identity, peer, c.base.peerURL(peer), client)
}

func (b Base) peerURL(service string) string {
	return map[string]string{
		"auth": b.AuthURL, "license": b.LicenseURL, "analytics": b.AnalyticsURL, "admin": b.AdminURL,
	}[service]
}

// ForPeers are the options of a generated handler that callers may call.
func (c *Core) ForPeers(callers rpc.Callers) []connect.HandlerOption {
	options := rpc.Serve(c.Name, c.peers, callers)
	if c.Traces != nil {
		return append([]connect.HandlerOption{rpc.Traced(c.Traces)}, options...)
	}
	return options
}

// RequireActor admits what the gateway forwards.
func (c *Core) RequireActor() gin.HandlerFunc { return rpc.RequireActor(c.Name, c.peers, gateway) }
