//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// The variables through which tests learn of the servers.
const (
	EnvDatabaseURL   = "LATCHKEY_TEST_DATABASE_URL"
	EnvAMQPURL       = "LATCHKEY_TEST_AMQP_URL"
	EnvManagementURL = "LATCHKEY_TEST_AMQP_MANAGEMENT_URL"
)

// Server is where one dependency of the tests was found.
type Server struct {
	// Name of the dependency, for example "PostgreSQL".
	Name string
	// Source says in words where it comes from; empty when there is none.
	Source string
	// Environ has the variables for the tests, as NAME=value.
	Environ []string
	// Missing says, when there is none, what was tried and what to do.
	Missing error

	stop func() error
}

// Stop ends a server that Find started; others are left alone.
func (s Server) Stop() error {
	if s.stop == nil {
		return nil
	}
	return s.stop()
}

// source is one way to come by a server; after an error the next one is tried.
type source func(ctx context.Context) (Server, error)

// FindPostgreSQL returns a server for the tests: the one named in the environment, else one in a container, else one
// started privately from installed programs.
func FindPostgreSQL(ctx context.Context, o Options) Server {
	return firstOf(ctx, "PostgreSQL", givenPostgreSQL, containerPostgreSQL, func(ctx context.Context) (Server, error) {
		p, err := StartPostgreSQL(ctx, o)
		if err != nil {
			return Server{}, err
		}
		return Server{
			Source:  fmt.Sprintf("version %s, private server from the programs in %s", p.Version, p.Bin),
			Environ: []string{EnvDatabaseURL + "=" + p.URL}, stop: p.Stop,
		}, nil
	})
}

// FindRabbitMQ is the same for RabbitMQ.
func FindRabbitMQ(ctx context.Context) Server {
	return firstOf(ctx, "RabbitMQ", givenRabbitMQ, containerRabbitMQ, func(ctx context.Context) (Server, error) {
		r, err := StartRabbitMQ(ctx)
		if err != nil {
			return Server{}, err
		}
		return Server{
			Source:  fmt.Sprintf("version %s, private node from %s", r.Version, r.Script),
			Environ: []string{EnvAMQPURL + "=" + r.URL, EnvManagementURL + "=" + r.ManagementURL}, stop: r.Stop,
		}, nil
	})
}

// firstOf is the server of the first source that has one.
func firstOf(ctx context.Context, name string, sources ...source) Server {
	var failures []error
	for _, get := range sources {
		s, err := get(ctx)
		if err == nil {
			s.Name = name
			return s
		}
		failures = append(failures, err)
	}
	return Server{Name: name, Missing: errors.Join(failures...)}
}

func givenPostgreSQL(ctx context.Context) (Server, error) {
	url := os.Getenv(EnvDatabaseURL)
	if url == "" {
		return Server{}, errors.New(EnvDatabaseURL + " is not set")
	}
	version, err := pingPostgreSQL(ctx, url)
	if err != nil {
		return Server{}, fmt.Errorf("%s is set, but the server does not answer: %w", EnvDatabaseURL, err)
	}
	return Server{Source: "version " + version + ", named by " + EnvDatabaseURL}, nil
}

func givenRabbitMQ(context.Context) (Server, error) {
	url := os.Getenv(EnvAMQPURL)
	if url == "" {
		return Server{}, errors.New(EnvAMQPURL + " is not set")
	}
	version, err := pingRabbitMQ(url)
	if err != nil {
		return Server{}, fmt.Errorf("%s is set, but the broker does not answer: %w", EnvAMQPURL, err)
	}
	return Server{Source: "version " + version + ", named by " + EnvAMQPURL}, nil
}
