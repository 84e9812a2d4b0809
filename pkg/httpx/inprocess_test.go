package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

type valueKey struct{}

func TestInProcessIsLikeARealHop(t *testing.T) {
	closed := make(chan struct{})
	client := http.Client{Transport: InProcess{"auth": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(valueKey{}) != nil {
			t.Error("the caller's values crossed over")
		}
		if r.RequestURI != "/a%2fb?q=1" || r.Host != "auth" || r.RemoteAddr == "" || r.URL.Path != "/a/b" {
			t.Errorf("got %s %s %s %s", r.RequestURI, r.Host, r.RemoteAddr, r.URL.Path)
		}
		if _, ok := r.Context().Deadline(); !ok {
			t.Error("the deadline was lost")
		}
		body, err := io.ReadAll(r.Body)
		r.Header.Set("X-In", "changed")
		w.Header().Set("X-Out", "1")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "1")
		w.Write(body)
		if err != nil {
			t.Error(err)
		}
	})}}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, 1), time.Minute)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://auth/a%2fb?q=1",
		closer{strings.NewReader("hello"), closed})
	req.Header.Set("X-In", "mine")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	<-closed
	if res.StatusCode != 418 || string(body) != "hello" || res.Header.Get("X-Out") != "1" ||
		res.Header.Get("X-Late") != "" || res.ContentLength != 5 {
		t.Errorf("got %v %s", res, body)
	}
	if req.Header.Get("X-In") != "mine" {
		t.Error("the handler changed the caller's request")
	}
}

type closer struct {
	io.Reader
	closed chan struct{}
}

func (c closer) Close() error {
	close(c.closed)
	return nil
}

func TestInProcessStatusWithoutAWord(t *testing.T) {
	res, err := InProcess{"a": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}.RoundTrip(
		mustRequest(t.Context(), "http://a/"))
	if err != nil || res.StatusCode != 200 {
		t.Errorf("got %v %v", res, err)
	}
}

func TestInProcessUnknownHost(t *testing.T) {
	_, err := InProcess{"auth": nil, "admin": nil}.RoundTrip(mustRequest(t.Context(), "http://license:5102/x"))
	if err == nil || !strings.Contains(err.Error(), `"license:5102"`) || !strings.Contains(err.Error(), "admin, auth") {
		t.Errorf("got %v", err)
	}
}

func TestInProcessPanicIsABrokenConnection(t *testing.T) {
	_, err := InProcess{"a": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("boom")
	})}.RoundTrip(mustRequest(t.Context(), "http://a/"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestInProcessCallerLeaves(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	client := InProcess{"a": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		child, stop := context.WithTimeout(r.Context(), time.Hour)
		defer stop()
		<-child.Done()
		ended <- child.Err()
	})}
	if _, err := client.RoundTrip(mustRequest(ctx, "http://a/")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler saw %v", err)
	}
}

func mustRequest(ctx context.Context, url string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		panic(err)
	}
	return req
}
