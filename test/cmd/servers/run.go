//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/latchkey-dev/latchkey/test/servers"
)

// run gives a command both servers for as long as it runs. A server named in the environment is used as it is.
func run(ctx context.Context, args []string) (int, error) {
	flags := flag.NewFlagSet("servers run", flag.ContinueOnError)
	durable := flags.Bool("durable", false, "keep fsync on, for measurements")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if flags.NArg() == 0 {
		return 0, errors.New("run needs a command; write it after --")
	}
	found := find(ctx, servers.Options{Durable: *durable})
	defer stopAll(found)
	var environ []string
	for _, s := range found {
		if s.Missing != nil {
			return 0, fmt.Errorf("no %s: %w", s.Name, s.Missing)
		}
		environ = append(environ, s.Environ...)
	}
	cmd := command(ctx, environ, flags.Args()...)
	return exitCode(cmd, cmd.Run())
}

// find looks for both servers at the same time.
func find(ctx context.Context, o servers.Options) []servers.Server {
	postgres := make(chan servers.Server, 1)
	go func() { postgres <- servers.FindPostgreSQL(ctx, o) }()
	rabbit := servers.FindRabbitMQ(ctx)
	return []servers.Server{<-postgres, rabbit}
}

func stopAll(found []servers.Server) {
	for _, s := range found {
		if err := s.Stop(); err != nil {
			fmt.Printf("stop %s: %v\n", s.Name, err)
		}
	}
}
