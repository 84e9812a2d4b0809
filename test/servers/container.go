//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// engineAnswers reports whether a container engine can be used. The program alone says nothing: it is often installed
// without one.
func engineAnswers(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("docker is not installed")
	}
	if err := exec.CommandContext(ctx, "docker", "info").Run(); err != nil {
		return errors.New("docker is installed, but no engine answers")
	}
	return nil
}

// container runs an image until stop, with the given port published on a free port of 127.0.0.1.
type container struct {
	id    string
	group *Group
}

func runContainer(ctx context.Context, port string, args ...string) (c *container, address string, err error) {
	if err := engineAnswers(ctx); err != nil {
		return nil, "", err
	}
	command := append([]string{"run", "--detach", "--rm", "--label", "latchkey-test", "--publish",
		"127.0.0.1::" + port}, args...)
	id, err := docker(ctx, command...)
	if err != nil {
		return nil, "", err
	}
	c = &container{id: id}
	if address, err = docker(ctx, "port", id, port+"/tcp"); err == nil {
		err = c.protect()
	}
	if err != nil {
		return nil, "", errors.Join(err, c.stop())
	}
	return c, address, nil
}

// protect has the container removed when this process is killed.
func (c *container) protect() error {
	var err error
	if c.group, err = NewGroup("container"); err != nil {
		return err
	}
	return c.group.onKilled("container", "docker rm --force --volumes "+c.id)
}

func (c *container) stop() error {
	_, err := docker(context.Background(), "rm", "--force", "--volumes", c.id)
	if c.group != nil {
		err = errors.Join(err, c.group.Close())
	}
	return err
}

func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, strings.TrimSpace(complaint.String()))
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first, nil
}

// Images of the containers, pinned so that a test means the same everywhere.
const (
	postgresImage = "postgres:17.6-alpine"
	rabbitImage   = "rabbitmq:4.1-management-alpine"
)

func containerPostgreSQL(ctx context.Context) (Server, error) {
	c, address, err := runContainer(ctx, "5432", "--env", "POSTGRES_HOST_AUTH_METHOD=trust", "--env",
		"POSTGRES_USER="+superuser, postgresImage, "-c", "fsync=off", "-c", "max_connections=300")
	if err != nil {
		return Server{}, err
	}
	url := "postgres://" + superuser + "@" + address + "/postgres?sslmode=disable"
	ping := func(ctx context.Context) (err error) { _, err = pingPostgreSQL(ctx, url); return err }
	if err := awaitContainer(ctx, c, ping); err != nil {
		return Server{}, err
	}
	return Server{
		Source:  "container of " + postgresImage,
		Environ: []string{EnvDatabaseURL + "=" + url},
		stop:    c.stop,
	}, nil
}

func containerRabbitMQ(ctx context.Context) (Server, error) {
	password := secret.New("") // programs in production refuse those that everybody knows
	c, address, err := runContainer(ctx, "5672", "--publish", "127.0.0.1::15672", "--env",
		"RABBITMQ_DEFAULT_USER="+superuser, "--env", "RABBITMQ_DEFAULT_PASS="+password, rabbitImage)
	if err != nil {
		return Server{}, err
	}
	management, err := docker(ctx, "port", c.id, "15672/tcp")
	if err != nil {
		return Server{}, errors.Join(err, c.stop())
	}
	login := superuser + ":" + password + "@"
	url := "amqp://" + login + address + "/"
	if err := awaitContainer(ctx, c, func(context.Context) error {
		_, err := pingRabbitMQ(url)
		return err
	}); err != nil {
		return Server{}, err
	}
	return Server{
		Source:  "container of " + rabbitImage,
		Environ: []string{EnvAMQPURL + "=" + url, EnvManagementURL + "=http://" + login + management}, stop: c.stop,
	}, nil
}

func awaitContainer(ctx context.Context, c *container, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := await(ctx, nil, ready); err != nil {
		return errors.Join(fmt.Errorf("container: %w", err), c.stop())
	}
	return nil
}
