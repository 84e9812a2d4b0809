package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

func (p *program) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Report what is wrong, with the settings of serve, and what to do about it",
		Long: `Check the settings, addresses, certificate, database, schema, master keys, disk, clock, broker, queues,
waiting events and peer services, and report for each whether it is fine and, if not, what to do.
Nothing is changed; the service may or may not be running. Exit code: 0 nothing is wrong, 1 something
is, 2 wrong settings.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.loadChecked(cmd); err != nil {
				return err
			}
			d := NewDiagnosis(cmd.OutOrStdout())
			d.OK("settings", "are complete")
			p.diagnose(cmd.Context(), d)
			return d.Err()
		},
	}
}

// Diagnosis prints what is found, a line each.
type Diagnosis struct {
	out   io.Writer
	of    string
	suite string // the program of all services; "" is that of one
	wrong int
}

// NewDiagnosis prints to out.
func NewDiagnosis(out io.Writer) *Diagnosis { return &Diagnosis{out: out} }

// OfSuite makes it that of a program that has all services in one process, and is stopped while it is looked at.
func (d *Diagnosis) OfSuite(program string) { d.suite = program }

// Of names the service that is looked at from here on, where there are several.
func (d *Diagnosis) Of(service string) { d.of = service + " " }

// OK says that something is as it must be.
func (d *Diagnosis) OK(what, format string, args ...any) { d.line("ok", what, format, args...) }

// Warn says what works and will not for long, and what to do.
func (d *Diagnosis) Warn(what, remedy, format string, args ...any) {
	d.line("WARN", what, format, args...)
	d.remedy(remedy)
}

// Fail says what does not work, and what to do.
func (d *Diagnosis) Fail(what, remedy, format string, args ...any) {
	d.wrong++
	d.line("FAIL", what, format, args...)
	d.remedy(remedy)
}

func (d *Diagnosis) line(state, what, format string, args ...any) {
	for i, arg := range args {
		if e, ok := arg.(*apierr.Error); ok && e.Err != nil {
			args[i] = e.Err // without the sentence for callers
		}
	}
	fmt.Fprintf(d.out, "%-4s  %-24s  %s\n", state, d.of+what, fmt.Sprintf(format, args...))
}

func (d *Diagnosis) remedy(text string) {
	if text != "" {
		fmt.Fprintf(d.out, "%32s-> %s\n", "", text)
	}
}

// Err is nil where nothing was wrong.
func (d *Diagnosis) Err() error {
	switch d.wrong {
	case 0:
		return nil
	case 1:
		return errors.New("one thing is wrong")
	}
	return fmt.Errorf("%d things are wrong", d.wrong)
}

// diagnose looks at everything that the service needs.
func (p *program) diagnose(ctx context.Context, d *Diagnosis) {
	b := p.base()
	d.Maintenance(*b)
	d.Address(ctx, "LATCHKEY_ADDR", p.Name, b.Addr)
	d.Address(ctx, "LATCHKEY_INTERNAL_ADDR", p.Name, b.InternalAddr)
	if b.TLSCertFile != "" {
		d.certificate(b.TLSCertFile, b.TLSKeyFile, time.Now())
	}
	p.diagnoseDatabase(ctx, d)
	p.DiagnoseBroker(ctx, d, b.AMQPURL)
	p.diagnosePeers(ctx, d)
}
