// Package licensefile is the contract of license files, revocation lists and usage reports: what a machine without a
// network checks by the public key of the installation's root alone, and what it says of itself. docs/license-file.md
// describes the bytes and checks a file with openssl.
//
// A file has three armored sections: a certificate, by which the root names a signing key; a payload; and the signature
// of that key over a prefix that tells the kind of the payload, and the payload's exact bytes. Keys are Ed25519 (RFC
// 8032).
package licensefile

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxSize is the largest file that Open reads, MaxListSize the largest revocation list that OpenRevocations reads, in
// bytes.
const (
	MaxSize     = 8 << 20
	MaxListSize = 64 << 20
)

// Kind is what the payload of a file is. Its signature covers the kind, so that none passes for another.
type Kind string

// The kinds of payloads, as their sections name them.
const (
	KindLicense          Kind = "LICENSE"
	KindEncryptedLicense Kind = "ENCRYPTED LICENSE"
	KindRevocations      Kind = "REVOCATION LIST"
	KindStatement        Kind = "STATEMENT"
)

// The two other sections.
const (
	sectionCertificate = "CERTIFICATE"
	sectionSignature   = "SIGNATURE"
)

// Prefix is what the signed message begins with: "latchkey-license-v1\n" for a license.
func (k Kind) Prefix() string {
	return "latchkey-" + strings.ReplaceAll(strings.ToLower(string(k)), " ", "-") + "-v1\n"
}

// lineLength is that of a full line of base64, in characters.
const lineLength = 64

// ErrAltered says that a file is not what its signing key signed, or is no such file at all.
var ErrAltered = errors.New("licensefile: the file is damaged, was altered, or belongs to another installation")

// Signer is a signing key with the certificate that the root gave it.
type Signer struct {
	Certificate []byte
	Key         ed25519.PrivateKey
}

// Sign returns the file of a payload.
func (s Signer) Sign(kind Kind, payload []byte) []byte {
	signature := ed25519.Sign(s.Key, append([]byte(kind.Prefix()), payload...))
	var b bytes.Buffer
	writeSection(&b, sectionCertificate, s.Certificate)
	writeSection(&b, string(kind), payload)
	writeSection(&b, sectionSignature, signature)
	return b.Bytes()
}

func writeSection(b *bytes.Buffer, name string, content []byte) {
	fmt.Fprintf(b, "-----BEGIN LATCHKEY %s-----\n", name)
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(content)), lineLength) {
		b.Write(line)
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "-----END LATCHKEY %s-----\n", name)
}

// Opened is a file whose certificate and signature are good.
type Opened struct {
	Kind        Kind
	Certificate Certificate
	Payload     []byte
}

// Open checks that a file is, byte for byte, what a key signed that root certified. It says nothing of times, products
// and machines. ErrAltered otherwise.
func Open(root ed25519.PublicKey, file []byte) (*Opened, error) {
	return open(root, file, MaxSize)
}

func open(root ed25519.PublicKey, file []byte, maxSize int) (*Opened, error) {
	if len(file) > maxSize {
		return nil, ErrAltered
	}
	sections, err := parse(file)
	if err != nil {
		return nil, err
	}
	certificate, key, err := openCertificate(root, sections[0].content)
	if err != nil {
		return nil, err
	}
	kind, payload := Kind(sections[1].name), sections[1].content
	if certificate.Use != kind.use() || !ed25519.Verify(key, append([]byte(kind.Prefix()), payload...),
		sections[2].content) {
		return nil, ErrAltered
	}
	return &Opened{Kind: kind, Certificate: *certificate, Payload: payload}, nil
}

type section struct {
	name    string
	content []byte
}

// parse reads the three sections of a file that a certified key signed.
func parse(file []byte) ([]section, error) {
	sections, err := parseFrame(file)
	if err != nil {
		return nil, err
	}
	if len(sections) != 3 || sections[0].name != sectionCertificate || sections[2].name != sectionSignature ||
		Kind(sections[1].name).use() == "" {
		return nil, ErrAltered
	}
	return sections, nil
}

// parseFrame reads the sections of a file, at most three. The frame has one form only: what does not come out the same
// when it is written again is refused, so that no byte of a file can be changed.
func parseFrame(file []byte) ([]section, error) {
	var sections []section
	for rest := string(file); rest != ""; {
		var s section
		var ok bool
		if s, rest, ok = parseSection(rest); !ok || len(sections) == 3 {
			return nil, ErrAltered
		}
		sections = append(sections, s)
	}
	var again bytes.Buffer
	for _, s := range sections {
		writeSection(&again, s.name, s.content)
	}
	if !bytes.Equal(again.Bytes(), file) {
		return nil, ErrAltered
	}
	return sections, nil
}

func parseSection(text string) (s section, rest string, ok bool) {
	text, begins := strings.CutPrefix(text, "-----BEGIN LATCHKEY ")
	name, text, named := strings.Cut(text, "-----\n")
	armored, rest, ended := strings.Cut(text, "-----END LATCHKEY "+name+"-----\n")
	content, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(armored, "\n", ""))
	return section{name, content}, rest, begins && named && ended && err == nil
}
