//go:build unix

package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kubectl stands in for the program: it records what it is told, and of what is applied the images, renders with what
// the test has rendered, and says of Jobs what the test wants: a line each time, the last of them from then on.
const kubectl = `#!/bin/sh
case "$*" in
  "config current-context") echo "${CONTEXT:-somewhere}" ;;
  kustomize*) cat "$RENDERED" ;;
  *status.ready*)
    echo "told: $*" >>"$RECORD"
    ready=$(head -n 1 "$READY"); sed -i 1d "$READY"
    [ "$ready" != fails ] || exit 1
    echo "$ready" ;;
  *"get job"*)
    echo "told: $*" >>"$RECORD"
    printf '%b' "$(head -n 1 "$JOBS")"
    [ "$(wc -l <"$JOBS")" -lt 2 ] || sed -i 1d "$JOBS" ;;
  *) echo "told: $*" >>"$RECORD"; sed -n 's/^ *image: /image /p' >>"$RECORD" ;;
esac
`

// docker stands in for the program, and for kind.
const docker = `#!/bin/sh
echo "$(basename "$0") $*" >>"$RECORD"
[ "$1 $2" != "image inspect" ] || echo sha256:0123456789abcdef
`

// up runs deploy/kubernetes/up and returns what it told kubectl, a line each.
func up(t *testing.T, folder, jobs string, environ ...string) (told []string, out string, err error) {
	t.Helper()
	dir := t.TempDir()
	rendering, record := filepath.Join(dir, "rendered.yaml"), filepath.Join(dir, "record")
	ready, answers := filepath.Join(dir, "ready"), filepath.Join(dir, "jobs")
	stream := "  namespace: latchkey\n    latchkey.dev/stage: migrate\n"
	if folder == "dev" {
		stream += "    latchkey.dev/stage: secrets\n          image: latchkey/auth\n"
	}
	for path, content := range map[string]string{
		filepath.Join(dir, "kubectl"): kubectl, rendering: stream, record: "", ready: "",
		answers: jobs + "\n", filepath.Join(dir, "sleep"): "#!/bin/sh\n",
		filepath.Join(dir, "docker"): docker, filepath.Join(dir, "kind"): docker,
	} {
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(inRoot(t, "deploy/kubernetes/up"), folder)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "RENDERED="+rendering, "RECORD="+record,
		"READY="+ready, "JOBS="+answers)
	cmd.Env = append(cmd.Env, environ...)
	output, err := cmd.CombinedOutput()
	recorded, readErr := os.ReadFile(record)
	if readErr != nil {
		t.Fatal(readErr)
	}
	for line := range strings.Lines(string(recorded)) {
		told = append(told, strings.TrimSpace(strings.TrimPrefix(line, "told: ")))
	}
	return told, string(output), err
}

const completed = `latchkey-auth-migrate SuccessCriteriaMet Complete\nlatchkey-license-migrate Complete\n`

func TestUpGoesStepByStep(t *testing.T) {
	for folder, want := range map[string][]string{
		"dev":  {"!latchkey.dev/stage", "delete secrets", "secrets", "delete migrate", "migrate", "serve"},
		"prod": {"!latchkey.dev/stage", "delete migrate", "migrate", "serve"},
	} {
		told, out, err := up(t, folder, completed, "CONTEXT=kind-try")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var steps []string
		for _, line := range told {
			_, selector, _ := strings.Cut(line, "--selector ")
			selector, _, _ = strings.Cut(selector, " ")
			stage := strings.TrimPrefix(selector, "latchkey.dev/stage=")
			switch {
			case strings.HasPrefix(line, "apply "):
				steps = append(steps, stage)
			case strings.Contains(line, " delete job "):
				steps = append(steps, "delete "+stage)
			}
		}
		if fmt.Sprint(steps) != fmt.Sprint(want) {
			t.Errorf("%s: the steps are %q, want %q", folder, steps, want)
		}
		if all := strings.Join(told, "\n"); strings.Count(all, "rollout status") != len(services) {
			t.Errorf("%s: it does not wait for every service:\n%s", folder, all)
		}
	}
}

func TestUpStopsWhenAMigrationFails(t *testing.T) {
	told, out, err := up(t, "prod", `latchkey-auth-migrate Complete\nlatchkey-license-migrate FailureTarget Failed\n`)
	if err == nil || !strings.Contains(out, "the stage migrate failed, so nothing after it was touched") {
		t.Errorf("it ends with %v:\n%s", err, out)
	}
	for _, line := range told {
		if strings.Contains(line, "stage=serve") || strings.Contains(line, "rollout") {
			t.Errorf("it goes on: %s", line)
		}
	}
}

// TestUpCutsNoMigrationOff: one that an earlier call began is waited for.
func TestUpCutsNoMigrationOff(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	if err := os.WriteFile(ready, []byte("1 0\n0 1\n0 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	told, out, err := up(t, "prod", completed, "READY="+ready)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	looked := 0
	for _, line := range told {
		switch {
		case strings.Contains(line, "status.ready"):
			looked++
		case strings.Contains(line, "delete job") && looked < 3:
			t.Fatalf("it deletes Jobs of which one runs:\n%s", strings.Join(told, "\n"))
		}
	}
}

// TestUpCutsNoMigrationOffWhenACallFails: an API server that does not answer says nothing of what runs.
func TestUpCutsNoMigrationOffWhenACallFails(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	if err := os.WriteFile(ready, []byte("1 0\nfails\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	told, out, err := up(t, "prod", completed, "READY="+ready)
	if err == nil {
		t.Errorf("it ends well:\n%s", out)
	}
	if all := strings.Join(told, "\n"); strings.Contains(all, "delete job") {
		t.Errorf("it deletes Jobs of which one may run:\n%s", all)
	}
}

// TestUpEndsWhenJobsAreGone: Kubernetes removes them some time after their end, while this computer sleeps, for
// example.
func TestUpEndsWhenJobsAreGone(t *testing.T) {
	const begun = `latchkey-auth-migrate \nlatchkey-license-migrate \n`
	for name, left := range map[string]string{"all": "", "one": `latchkey-license-migrate Complete\n`} {
		told, out, err := up(t, "prod", begun+"\n"+left)
		if err == nil || !strings.Contains(out, "Jobs of the stage migrate are gone") {
			t.Errorf("%s: it ends with %v:\n%s", name, err, out)
		}
		if all := strings.Join(told, "\n"); strings.Contains(all, "stage=serve") {
			t.Errorf("%s: it goes on:\n%s", name, all)
		}
	}
}

// TestUpKnowsWhatIsComplete: Kubernetes removes a Job some time after its end while a longer one goes on.
func TestUpKnowsWhatIsComplete(t *testing.T) {
	told, out, err := up(t, "prod", `latchkey-auth-migrate Complete\nlatchkey-license-migrate \n`+"\n"+
		`latchkey-license-migrate \n`+"\n"+`latchkey-license-migrate Complete\n`)
	if err != nil || !strings.Contains(strings.Join(told, "\n"), "stage=serve") {
		t.Errorf("it ends with %v:\n%s", err, out)
	}
}

func TestUpSaysWhatIsWrong(t *testing.T) {
	if _, out, err := up(t, "staging", completed); err == nil || !strings.Contains(out, "there is no ") {
		t.Errorf("it ends with %v:\n%s", err, out)
	}
}

// TestUpRefusesImagesOfStrangers: a cluster that got no images from up would pull latchkey/auth from Docker Hub.
func TestUpRefusesImagesOfStrangers(t *testing.T) {
	for _, context := range []string{"somewhere", "docker-desktop", "k3d-try"} {
		told, out, err := up(t, "dev", completed, "CONTEXT="+context)
		if err == nil || !strings.Contains(out, "name those of your registry") || len(told) > 0 {
			t.Errorf("%s: it ends with %v, and told %q:\n%s", context, err, told, out)
		}
	}
}

// TestUpLoadsWhatItBuilds: other contents have another tag, or the previous pods would stay.
func TestUpLoadsWhatItBuilds(t *testing.T) {
	told, out, err := up(t, "dev", completed, "CONTEXT=kind-try")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"docker tag latchkey/auth latchkey/auth:0123456789ab",
		"kind load docker-image --name try latchkey/auth:0123456789ab latchkey/license:0123456789ab " +
			"latchkey/analytics:0123456789ab latchkey/admin:0123456789ab",
		"image latchkey/auth:0123456789ab",
	} {
		if !slices.Contains(told, want) {
			t.Errorf("it does not say %q:\n%s", want, strings.Join(told, "\n"))
		}
	}
	if slices.Contains(told, "image latchkey/auth") {
		t.Error("it applies an image without a tag")
	}
}
