package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

// ownCertificate carries calls to loopback addresses by own, and others as usual.
type ownCertificate struct{ own, usual http.RoundTripper }

// OwnCertificate carries calls to servers that have the certificate of a file, when they are asked at a loopback
// address: it is for the names that users call, so there it has to be this very one, whatever it is for. Elsewhere
// certificates are checked as always.
func OwnCertificate(file string) (http.RoundTripper, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is no certificate in PEM", file)
	}
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // VerifyPeerCertificate compares
		VerifyPeerCertificate: func(chain [][]byte, _ [][]*x509.Certificate) error {
			if len(chain) == 0 || !bytes.Equal(chain[0], block.Bytes) {
				return &tls.CertificateVerificationError{
					Err: errors.New("the server has another certificate than " + file),
				}
			}
			return nil
		},
	}
	return ownCertificate{own: own, usual: http.DefaultTransport}, nil
}

// RoundTrip implements http.RoundTripper.
func (o ownCertificate) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return o.own.RoundTrip(r)
	}
	return o.usual.RoundTrip(r)
}
