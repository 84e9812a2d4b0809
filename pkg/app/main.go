package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/obs"
)

// Exit codes of Main.
const (
	exitFailed = 1
	exitUsage  = 2 // wrong settings or arguments: starting again does not help
)

// Main runs the command that the arguments name and ends the process: 0 done, 1 failed, 2 wrong settings or
// arguments. The first SIGTERM or SIGINT drains, the second ends at once.
func Main(s Service) {
	Tune()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	os.Exit(Execute(ctx, s, os.Args[1:], os.Stdout, os.Stderr))
}

// Execute is Main without the process around it; it returns the exit code.
func Execute(ctx context.Context, s Service, args []string, out, logs io.Writer) int {
	p := &program{Service: s, logs: logs}
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(logs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !p.started && !errors.As(err, new(*SettingsError)) {
		fmt.Fprintf(logs, "%s: %v\nRun '%s --help' for what there is.\n", s.Name, err, s.Name)
		return exitUsage
	}
	return Fail(logs, s.Name, err)
}

// Fail prints why a program ended, and returns its exit code.
func Fail(logs io.Writer, program string, err error) int {
	if problem := new(config.Problem); errors.As(err, &problem) && !errors.As(err, new(*SettingsError)) {
		err = NewSettingsError(program, "", problem) // one that showed at work only
	}
	if errors.As(err, new(*SettingsError)) {
		fmt.Fprint(logs, err.Error())
		return exitUsage
	}
	fmt.Fprintf(logs, "%s: %v\n", program, err)
	if remedy := db.ServerRemedy(err); remedy != "" {
		fmt.Fprintf(logs, "%s: %s\n", program, remedy)
	}
	if errors.As(err, new(*ArgumentError)) {
		return exitUsage
	}
	return exitFailed
}

// ArgumentError is an argument of a command that only its work showed to be wrong, for example the name of something
// that is not there.
type ArgumentError struct{ Err error }

// Error says what is wrong.
func (e *ArgumentError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *ArgumentError) Unwrap() error { return e.Err }

// SettingsError is everything that is wrong with the settings, to be read by people.
type SettingsError struct {
	// Program is what people call it.
	Program string
	// Hint, a sentence, says where to look; it may be empty.
	Hint     string
	problems []error
}

// NewSettingsError takes the joined problems of err apart, and keeps one of those that say the same; it is nil for nil.
func NewSettingsError(program, hint string, err error) error {
	if err == nil {
		return nil
	}
	e := &SettingsError{Program: program, Hint: hint}
	for _, p := range flatten(err) {
		if !slices.ContainsFunc(e.problems, func(known error) bool { return known.Error() == p.Error() }) {
			e.problems = append(e.problems, p)
		}
	}
	return e
}

// Error lists one problem per line.
func (e *SettingsError) Error() string {
	text := fmt.Sprintf("%s cannot run with these settings:\n", e.Program)
	for _, p := range e.problems {
		text += "  - " + p.Error() + "\n"
	}
	if e.Hint != "" {
		text += e.Hint + "\n"
	}
	return text
}

// program is what the commands of one process share.
type program struct {
	Service
	logs    io.Writer
	started bool     // the arguments made sense
	unused  []string // variables of other services
	// open replaces what WithDeps does, where another program runs a command of the service.
	open OpenDeps
}

type programKey struct{}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:           p.Name,
		Short:         p.Short,
		Long:          p.long(),
		Version:       obs.ReadBuild().Version, // has cobra add the flag
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			p.started = true
			cmd.SetContext(context.WithValue(cmd.Context(), programKey{}, p))
		},
	}
	root.SetVersionTemplate(obs.ReadBuild().Of(p.Name) + "\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	config.Flags(root.PersistentFlags(), p.Config)
	root.AddCommand(p.serveCommand(), p.migrateCommand(), p.configCommand(), p.doctorCommand(), p.versionCommand(),
		p.healthcheckCommand(), p.internalKeyCommand(), Republish(p.Name))
	if p.MasterKeys != nil {
		root.AddCommand(p.rotateMasterKeyCommand())
	}
	root.AddCommand(p.Commands...)
	return root
}

func (p *program) long() string {
	return fmt.Sprintf(`%s

Start it with '%[2]s serve'. Every setting is a flag, an environment variable or a key of a YAML file
(--config); flags win over the environment, the environment over the file. Secrets have no flag; each
can be read from the file that its variable with _FILE at the end names. '%[2]s config check' says
what is wrong, '%[2]s config print' where each value comes from.

Needed: LATCHKEY_DATABASE_URL, LATCHKEY_AMQP_URL, LATCHKEY_INTERNAL_KEY, LATCHKEY_INTERNAL_PEERS
and the service's own secrets.
Exit codes: 0 done, 1 failed, 2 wrong settings or arguments.

Settings without a flag:
%[3]s`, p.Short, p.Name, config.Secrets(config.Options{}, p.Config))
}

// load reads the settings. What is wrong with them is a *SettingsError.
func (p *program) load(cmd *cobra.Command) (*config.Settings, error) {
	settings, err := config.Load(p.Name, config.Options{
		Flags:   cmd.Flags(),
		Known:   Names(),
		Refused: embeddedOnly(),
	}, p.Config)
	return settings, p.settingsError(err)
}

// loadChecked reads the settings and applies the service's own rules to them.
func (p *program) loadChecked(cmd *cobra.Command) error {
	settings, err := p.load(cmd)
	p.unused = settings.Unused
	if v, ok := p.Config.(interface{ Validate() error }); ok && err == nil {
		err = p.settingsError(errors.Join(p.base().requireServers(), v.Validate(), p.base().CheckKnownToPeers(p.Name)))
	}
	return err
}

func (p *program) settingsError(err error) error {
	hint := fmt.Sprintf("Run '%[1]s --help' for the settings, '%[1]s config print' for where each value comes from.",
		p.Name)
	return NewSettingsError(p.Name, hint, err)
}

// flatten takes errors.Join apart.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// base is the part of the settings that this package knows.
func (p *program) base() *Base {
	return p.Config.(interface{ Common() *Base }).Common()
}
