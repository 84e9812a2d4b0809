package jsonbody

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

const (
	maxDepth = 32
	// MaxProblems is how many members an answer names at most.
	MaxProblems = 20
	// maxName bounds member names, in bytes, and with them the cost of a path.
	maxName = 255
	// maxPath bounds the paths that an answer shows, in bytes.
	maxPath = 200
)

const (
	badUTF8      = "must be valid UTF-8"
	badControl   = "must not contain control characters"
	badSurrogate = "must not contain half of a surrogate pair"
	badNumber    = "must be a number within range"
	tooDeep      = "is nested too deeply; 32 levels are allowed"
	// byteOrderMark is by RFC 8259, section 8.1.
	byteOrderMark = "begins with a byte order mark, which JSON does not have (RFC 8259, section 8.1); send plain UTF-8"
	longName      = "must not have member names of more than 255 bytes"
)

// errStop ends the reading after what was noted by stop.
var errStop = errors.New("stop")

func notJSON(at int64) string { return "is not valid JSON at byte " + strconv.FormatInt(at, 10) }

// fail notes a problem of the value that was read last. A path costs more than the bytes that it is told of, so only
// the first problems get one.
func (d *decoder) fail(problem string) {
	if d.noted < MaxProblems {
		d.note(d.StackPointer(), problem)
	}
}

// failAround notes a problem of the object whose member name was read last.
func (d *decoder) failAround(problem string) {
	if d.noted < MaxProblems {
		d.note(d.StackPointer().Parent(), problem)
	}
}

func (d *decoder) note(at jsontext.Pointer, problem string) {
	d.noted++
	if d.problems == nil {
		d.problems = apierr.Fields{}
	}
	d.problems.Add(d.path(at), problem)
}

// refuse skips a value of the wrong type.
func (d *decoder) refuse(problem string) error {
	if err := d.skip(); err != nil {
		return err
	}
	d.fail(problem)
	return nil
}

// stop ends the reading for a reason that is told alone.
func (d *decoder) stop(at jsontext.Pointer, problem string) error {
	d.problems, d.root = nil, 0
	d.note(at, problem)
	return errStop
}

// broken notes why the text could not be read to its end. Nothing that was noted before counts, as the text is not what
// it seemed.
func (d *decoder) broken(err error) {
	if errors.Is(err, errStop) {
		return
	}
	if strings.HasPrefix(string(d.raw[:min(len(d.raw), 3)]), "\ufeff") {
		d.problems = apierr.Fields{"body": byteOrderMark}
		return
	}
	at := d.InputOffset()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = syntax.ByteOffset
	}
	d.problems = apierr.Fields{"body": notJSON(at)}
}

// path writes a pointer as members know it, such as os_info.name or features[3]; the text itself is "body".
func (d *decoder) path(at jsontext.Pointer) string {
	var out strings.Builder
	level := 0
	for step := range at.Tokens() {
		level++
		kind, _ := d.StackIndex(level)
		switch {
		case level <= d.root:
		case out.Len() > maxPath:
			return Shorten(out.String())
		case kind == '[':
			fmt.Fprintf(&out, "[%s]", step)
		case out.Len() > 0:
			out.WriteString("." + step)
		default:
			out.WriteString(step)
		}
	}
	if out.Len() == 0 {
		return "body"
	}
	return Shorten(out.String())
}

// Shorten cuts what an answer quotes of a request to 200 bytes.
func Shorten(path string) string {
	if len(path) <= maxPath {
		return path
	}
	return strings.ToValidUTF8(path[:maxPath], "") + "..."
}
