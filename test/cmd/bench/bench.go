//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// licenses is how many licenses the suite has: those that are warm.
const licenses = 10_000

// bench is a running suite with its rulers beside it.
type bench struct {
	options
	*report
	progress io.Writer
	began    time.Time

	suite    *suite.Suite
	bin      string
	group    *servers.Group // what bench starts itself
	bare     string         // URL of the baseline
	database *pgx.Conn
	watched  []*pgx.Conn // databases in which settle looks for work left over
	broker   *amqp.Connection
	channel  *amqp.Channel
	devices  int64 // the last number given to a fresh device
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%5.0fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// open starts the suite, with fsync on, and loads the licenses.
func (b *bench) open(ctx context.Context) (err error) {
	o := suite.Options{Root: b.root, Durable: true, Progress: b.progress}
	if b.bin, err = suite.Build(ctx, o); err != nil {
		return err
	}
	if b.group, err = servers.NewGroup("bench"); err != nil {
		return err
	}
	if b.suite, err = suite.Start(ctx, o); err != nil {
		return err
	}
	if b.database, err = pgx.Connect(ctx, b.suite.Postgres.URL); err != nil {
		return err
	}
	b.watched = []*pgx.Conn{b.database}
	if b.broker, err = amqp.Dial(b.suite.RabbitMQ.URL); err != nil {
		return err
	}
	if b.channel, err = b.broker.Channel(); err != nil {
		return err
	}
	b.say("loading %d licenses", licenses)
	return fill(ctx, b.suite.Postgres.URL, b.setting("MASTER_KEY"), licenses)
}

func (b *bench) close() error {
	var errs []error
	if b.broker != nil {
		errs = append(errs, b.broker.Close())
	}
	for _, conn := range b.watched {
		errs = append(errs, conn.Close(context.Background()))
	}
	if b.group != nil {
		errs = append(errs, b.group.Close())
	}
	if b.suite != nil {
		errs = append(errs, b.suite.Stop())
	}
	return errors.Join(errs...)
}

// setting is one of the suite's own, such as MASTER_KEY.
func (b *bench) setting(name string) string {
	for _, variable := range b.suite.Environ() {
		if value, ok := strings.CutPrefix(variable, "LATCHKEY_SUITE_"+name+"="); ok {
			return value
		}
	}
	panic("bench: the suite has no setting " + name)
}

// startBaseline starts the process that validate is compared with.
func (b *bench) startBaseline(ctx context.Context) (*servers.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := servers.FreePorts(1)
	if err != nil {
		return nil, err
	}
	address := servers.Address(ports[0])
	b.bare = "http://" + address
	p, err := b.group.Start("baseline", exec.Command(self, baselineCommand, address))
	if err != nil {
		return nil, err
	}
	return p, p.Await(ctx, func(ctx context.Context) error {
		_, err := post(ctx, target{url: b.bare, path: validatePath}, call{1, 1})
		return err
	})
}

// replica is a license process beside the suite's own, with a database of its own or another way to it.
type replica struct {
	*servers.Process
	url string
}

// startLicense starts a license process with the suite's settings, but for the two URLs.
func (b *bench) startLicense(ctx context.Context, name, databaseURL, authURL string) (replica, error) {
	return b.serveLicense(ctx, name, b.license("serve", databaseURL, authURL))
}

// serveLicense starts cmd, which serves license, on free ports and waits until it is ready.
func (b *bench) serveLicense(ctx context.Context, name string, cmd *exec.Cmd) (replica, error) {
	ports, err := servers.FreePorts(2)
	if err != nil {
		return replica{}, err
	}
	cmd.Env = append(cmd.Env, "LATCHKEY_ADDR="+servers.Address(ports[0]),
		"LATCHKEY_INTERNAL_ADDR="+servers.Address(ports[1]))
	r := replica{url: "http://" + servers.Address(ports[0])}
	if r.Process, err = b.group.Start(name, cmd); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return r, r.Await(ctx, func(ctx context.Context) error { return client.Ready(ctx, nil, r.url) })
}

// license is a command of the license binary.
func (b *bench) license(command, databaseURL, authURL string) *exec.Cmd {
	return b.licenseOf(b.bin, command, databaseURL, authURL)
}

// licenseOf is a command of the license binary in the folder bin.
func (b *bench) licenseOf(bin, command, databaseURL, authURL string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "license"), command)
	cmd.Dir = b.group.Dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"LATCHKEY_ENV=production",
		"LATCHKEY_DATABASE_URL=" + databaseURL,
		"LATCHKEY_AMQP_URL=" + b.suite.RabbitMQ.URL,
		"LATCHKEY_AUTH_URL=" + authURL,
		"LATCHKEY_INTERNAL_KEY=" + b.setting("LICENSE_INTERNAL_KEY"),
		"LATCHKEY_INTERNAL_PEERS=" + b.setting("INTERNAL_PEERS"),
		"LATCHKEY_MASTER_KEY=" + b.setting("MASTER_KEY"),
	}
	return cmd
}

// newDatabase makes a database on the suite's server with the schema of the license binary in the folder bin.
func (b *bench) newDatabase(ctx context.Context, bin, name string) (string, error) {
	if _, err := b.database.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	u, err := url.Parse(b.suite.Postgres.URL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	cmd := b.licenseOf(bin, "migrate", u.String(), b.suite.Process("auth").InternalURL)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("migrate the database %s: %w\n%s", name, err, out)
	}
	return u.String(), nil
}

// newKey makes an API key with the given limits; 0 is no limit.
func (b *bench) newKey(ctx context.Context, perMinute, perHour int) (string, error) {
	c := client.Client{AuthURL: b.suite.AuthURL, AdminSecret: b.suite.AdminSecret}
	return c.CreateAPIKey(ctx, client.APIKeyRequest{
		ClientName: "bench", AllowedEndpoints: []string{"*"},
		RateLimit: &client.RateLimit{PerMinute: perMinute, PerHour: perHour},
	})
}

// What an answer of validate says of where it came from.
const (
	fromMemory   = `"cached":true`
	fromDatabase = `"cached":false`
)

// validation is the validate endpoint at url.
func validation(url, apiKey string) target {
	return target{
		url:    url,
		path:   validatePath,
		apiKey: apiKey,
		status: "200",
		marks:  []string{`"valid":true`},
		named:  true,
		memory: fromMemory,
	}
}

// warm asks for every license until all answers come from memory: a process that has just started forgets once more
// when its link to the broker stands.
func warm(ctx context.Context, url, apiKey string, count int64) error {
	for range 20 {
		o, err := drive(ctx, validation(url, apiKey), 0, each(count))
		if err := cmp.Or(err, o.first); err != nil {
			return fmt.Errorf("warm up %s: %w", url, err)
		}
		if o.misses == 0 {
			return nil
		}
	}
	return fmt.Errorf("%s does not keep %d licenses in memory", url, count)
}

// settle waits until nothing is left to do of what was measured before: no event in an outbox or spilled, none in the
// queue. What analytics has not consumed by then is thrown away.
func (b *bench) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(60 * time.Millisecond)
	defer tick.Stop()
	for quiet := 0; quiet < 3; {
		purged, err := b.channel.QueuePurge(analyticsQueue, false)
		if err != nil {
			return err
		}
		left, err := b.unsent(ctx)
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		quiet++
		if purged+left > 0 {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("settle: %d events left: %w", purged+left, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func (b *bench) unsent(ctx context.Context) (sum int, err error) {
	const unsent = `SELECT (SELECT count(*) FROM license.outbox_unsent) + (SELECT count(*)
		FROM license.telemetry_spill)`
	for _, conn := range b.watched {
		var n int
		if err := conn.QueryRow(ctx, unsent).Scan(&n); err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// watch has settle look into another database of a license service.
func (b *bench) watch(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err == nil {
		b.watched = append(b.watched, conn)
	}
	return err
}

const analyticsQueue = "analytics.events"

// post makes one call the plain way and returns the answer.
func post(ctx context.Context, t target, c call) (string, error) {
	body := fmt.Sprintf(`{"license_key":%q,"hardware_id":%q}`, licenseKey(c.license), hardwareID(c.device))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+t.path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-API-Key", t.apiKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return string(answer), err
}

// freshDevices activates devices that nobody has seen on licenses drawn from 1 to count.
func (b *bench) freshDevices(count int64) func(conn, i int) (call, bool) {
	b.devices += 1 << 40
	first := b.devices
	return func(conn, i int) (call, bool) {
		c, _ := anyOf(count)(conn, i)
		c.device = first + int64(conn)<<32 + int64(i)
		return c, true
	}
}

func activation(url, apiKey string) target {
	return target{
		url:    url,
		path:   activatePath,
		apiKey: apiKey,
		status: "201",
		marks:  []string{`"activated":true`},
		named:  true,
	}
}
