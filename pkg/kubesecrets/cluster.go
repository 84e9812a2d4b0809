package kubesecrets

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Cluster is the API of Kubernetes, as a pod with a ServiceAccount sees it.
type Cluster struct {
	url    string // of the Secrets of the namespace
	token  string
	client *http.Client
}

// AccountDir is where Kubernetes mounts the token of a ServiceAccount, its namespace and the certificate of the API.
const AccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// InCluster finds the API by the environment that Kubernetes gives a pod, and by the files in dir, usually AccountDir.
func InCluster(dir string) (*Cluster, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("this is no pod of Kubernetes: KUBERNETES_SERVICE_HOST and _PORT are not set")
	}
	account := map[string]string{}
	for _, name := range []string{"token", "namespace", "ca.crt"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("the pod has no ServiceAccount mounted: %w", err)
		}
		account[name] = strings.TrimSpace(string(content))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(account["ca.crt"])) {
		return nil, fmt.Errorf("%s has no certificate", filepath.Join(dir, "ca.crt"))
	}
	return &Cluster{
		url: fmt.Sprintf("https://%s/api/v1/namespaces/%s/secrets", net.JoinHostPort(host, port),
			account["namespace"]),
		token: account["token"],
		client: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		},
	}, nil
}

// object is a Secret as the API reads and writes it.
type object struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metadata          `json:"metadata"`
	StringData map[string]string `json:"stringData,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
}

type metadata struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
}

// create makes a Secret, and tells that it did not if there is one of that name.
func (c *Cluster) create(ctx context.Context, name string, data map[string]string) (made bool, err error) {
	body, err := json.Marshal(object{
		APIVersion: "v1",
		Kind:       "Secret",
		Metadata: metadata{Name: name, Labels: map[string]string{
			"app.kubernetes.io/name": "latchkey", "app.kubernetes.io/part-of": "latchkey",
		}},
		StringData: data,
	})
	if err != nil {
		return false, err
	}
	status, answer, err := c.call(ctx, http.MethodPost, c.url, body)
	switch {
	case err != nil:
		return false, fmt.Errorf("make the Secret %s: %w", name, err)
	case status == http.StatusConflict:
		return false, nil
	case status != http.StatusCreated:
		return false, fmt.Errorf("make the Secret %s: %w", name, refusal(status, answer))
	}
	return true, nil
}

func (c *Cluster) get(ctx context.Context, name string) (map[string]string, error) {
	status, answer, err := c.call(ctx, http.MethodGet, c.url+"/"+name, nil)
	if err == nil && status != http.StatusOK {
		err = refusal(status, answer)
	}
	var found object
	if err == nil {
		err = json.Unmarshal(answer, &found)
	}
	if err != nil {
		return nil, fmt.Errorf("read the Secret %s: %w", name, err)
	}
	data := map[string]string{}
	for entry, value := range found.Data {
		data[entry] = string(value)
	}
	return data, nil
}

// maxAnswer is more than a Secret can have.
const maxAnswer = 4 << 20

func (c *Cluster) call(ctx context.Context, method, url string, body []byte) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, answer, err
}

// refusal is what the API says against a call. Its message names the object and what is wrong, and repeats no value.
func refusal(status int, answer []byte) error {
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Message == "" {
		return fmt.Errorf("the API of Kubernetes answers %d %s", status, http.StatusText(status))
	}
	return fmt.Errorf("the API of Kubernetes answers %d: %s", status, said.Message)
}
