package importer

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
)

// keyVariable names the admin key.
const keyVariable = "LATCHKEY_ADMIN_API_KEY"

// Name is that of the command.
const Name = "import"

// flags are the options of the command as they are written.
type flags struct {
	options
	url, credentials, certificate, report string
}

// Command is the command of a program, which people call so. It needs none of its settings but the admin key.
func Command(program string) *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   Name + " FILE",
		Short: "Import licenses, devices, users and counters of another system from a CSV file",
		Long: `Import licenses with their keys, customers, users, devices and counters from a CSV file, through the
admin API. A license is identified by its key: the same file can be imported again, after an interruption
too, and changes nothing twice. Begin with --dry-run. What is refused goes to a report with line,
column and reason; the rest goes on. docs/import.md lists the columns.

The admin key, of the role operator or owner, is LATCHKEY_ADMIN_API_KEY, or stands in --credentials.`,
		Example: "  " + program + " import --dry-run licenses.csv\n  " + program +
			" import --from licensespring --url https://admin.example licenses.csv",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("name one file: %s FILE", Name))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	set := cmd.Flags()
	set.StringVar(&f.from, "from", Generic, "what wrote the file: csv (columns as in docs/import.md) or licensespring")
	set.BoolVar(&f.dryRun, "dry-run", false, "report what an import would do, and change nothing")
	set.BoolVar(&f.update, "update", false, "change licenses that already exist; otherwise they stay as they are")
	set.StringToStringVar(&f.columns, "map", nil, "HEADING=NAME: what a column is called here; HEADING= leaves it out")
	set.StringVar(&f.product, "product", "", "the product of licenses whose lines name none")
	set.StringVar(&f.customer, "customer", "", "the customer_id of licenses whose lines name none")
	set.StringVar(&f.report, "report", "", "where to write what was refused (default FILE.refused.csv)")
	set.StringVar(&f.url, "url", "", "where the admin service is (default that of --credentials, or "+
		"http://127.0.0.1:5004)")
	set.StringVar(&f.credentials, "credentials", "", "a credentials.json with admin_api_key and admin_url")
	set.StringVar(&f.certificate, "certificate", "", "the certificate that the admin service of this computer has, "+
		"whatever name it is for (default that of LATCHKEY_TLS_CERT_FILE)")
	return cmd
}

// Run runs the command of a program by itself: what it did goes to out, its progress to logs.
func Run(ctx context.Context, program string, args []string, out, logs io.Writer) error {
	cmd := Command(program)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(logs)
	return cmd.ExecuteContext(ctx)
}

func (f *flags) run(cmd *cobra.Command, file string) error {
	if f.from != Generic && f.from != LicenseSpring {
		return usage(fmt.Errorf("--from is %s or %s", Generic, LicenseSpring))
	}
	to, err := f.target()
	if err != nil {
		return usage(err)
	}
	in, err := os.Open(file)
	if err != nil {
		return usage(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return usage(fmt.Errorf("%s is a folder; name a file", file))
	}
	counted := &countingReader{from: in}
	open := func() (*reader, error) {
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("the file is read twice: %w", err)
		}
		counted.n = 0
		return newReader(counted, f.from, f.columns)
	}
	rows, err := open()
	if err != nil {
		return usage(err)
	}
	if f.report == "" {
		f.report = file + ".refused.csv"
	}
	if err := removeReport(f.report); err != nil {
		return usage(err)
	}
	report := &report{name: f.report}
	p := &progress{to: cmd.ErrOrStderr(), read: counted, size: info.Size(), begun: time.Now()}
	work := job{options: f.options, target: to, reader: rows, open: open, refuse: report.add, progress: p.show}
	err = errors.Join(work.all(cmd.Context()), report.close())
	p.end(work.counts)
	f.summary(cmd.OutOrStdout(), &work, err)
	if err == nil && work.counts.refused > 0 {
		err = fmt.Errorf("%d licenses or lines were refused; %s says why", work.counts.refused, f.report)
	}
	return err
}

func usage(err error) error { return &app.ArgumentError{Err: err} }

// summary tells what the import did before it ended with err.
func (f *flags) summary(out io.Writer, work *job, err error) {
	did, c := "done", work.counts
	switch {
	case f.dryRun:
		did = "a dry run, nothing was written"
	case err != nil:
		did = "stopped; import the file again to go on"
	}
	fmt.Fprintf(out, "%s: %d created, %d updated, %d unchanged, %d here and different, %d refused\n",
		did, c.created, c.updated, c.unchanged, c.differs, c.refused)
	if len(work.made) > 0 {
		fmt.Fprintf(out, "products that are not there and would be made: %s\n", quoted(work.made))
	}
}

// quoted lists names in their order, between quotation marks: a name may contain commas.
func quoted(names map[string]bool) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, strconv.Quote(name))
	}
	return strings.Join(list, ", ")
}

// target is where to import to, and the key for it.
func (f *flags) target() (target, error) {
	t := target{url: f.url, key: os.Getenv(keyVariable), client: &http.Client{
		// the target of a redirect would be sent the key
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if file := cmp.Or(f.certificate, os.Getenv("LATCHKEY_TLS_CERT_FILE")); file != "" {
		own, err := server.OwnCertificate(file)
		if err != nil {
			return t, fmt.Errorf("--certificate: %w", err)
		}
		t.client.Transport = own
	}
	if file := os.Getenv(keyVariable + "_FILE"); file != "" && t.key == "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return t, fmt.Errorf("%s_FILE: %w", keyVariable, err)
		}
		t.key = strings.TrimSpace(string(raw))
	}
	if f.credentials != "" {
		var c struct {
			Key string `json:"admin_api_key"`
			URL string `json:"admin_url"`
		}
		raw, err := os.ReadFile(f.credentials)
		if err == nil {
			err = json.Unmarshal(raw, &c)
		}
		if err != nil {
			return t, fmt.Errorf("--credentials: %w", err)
		}
		t.key = c.Key
		if t.url == "" {
			t.url = c.URL
		}
	}
	if t.url == "" {
		t.url = "http://127.0.0.1:5004"
	}
	t.url = strings.TrimRight(t.url, "/")
	if at, err := url.Parse(t.url); err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return t, errors.New("--url must be the address of the admin service, as https://admin.example")
	}
	if t.key == "" {
		return t, errors.New("set LATCHKEY_ADMIN_API_KEY to an admin key, or name a file by --credentials")
	}
	return t, nil
}

// reportHead is the first line of a report.
var reportHead = []string{"line", "column", "error_code", "reason"}

// removeReport removes the report of an earlier run, and refuses to remove anything else, such as the
// file to import.
func removeReport(name string) error {
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	want := strings.Join(reportHead, ",") + "\n"
	head := make([]byte, len(want))
	_, err = io.ReadFull(file, head)
	_ = file.Close() // was only read; Windows removes no open file
	if err != nil || string(head) != want {
		return fmt.Errorf("--report: %s is not a report of an earlier import; name another file, or move it away", name)
	}
	return os.Remove(name)
}

// report is the file of what was refused, made when the first line of it is written.
type report struct {
	name string
	file *os.File
	csv  *csv.Writer
}

func (r *report) add(p problem) error {
	if r.file == nil {
		file, err := os.OpenFile(r.name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		r.file, r.csv = file, csv.NewWriter(file)
		_ = r.csv.Write(reportHead) // close tells
	}
	return r.csv.Write([]string{strconv.Itoa(p.Line), p.Column, p.Code, p.Reason})
}

func (r *report) close() error {
	if r.file == nil {
		return nil
	}
	r.csv.Flush()
	return errors.Join(r.csv.Error(), r.file.Close())
}
