package licensefile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
)

// An encrypted payload is a salt, a nonce, and the ciphertext with its tag (AES-256-GCM). The key is HKDF-SHA256 (RFC
// 5869) of the license key in the form of NormalizeKey, with the salt and with encryptInfo.
const (
	saltSize    = 16
	nonceSize   = 12
	tagSize     = 16
	encryptInfo = "latchkey-encrypted-license-v1"
)

// Encrypt returns the payload of an encrypted file, which the license key opens, however it is typed.
func Encrypt(payload []byte, licenseKey string) ([]byte, error) {
	head := make([]byte, saltSize+nonceSize, saltSize+nonceSize+len(payload)+tagSize)
	if _, err := rand.Read(head); err != nil {
		return nil, err
	}
	aead, err := cipherOf(licenseKey, head[:saltSize])
	if err != nil {
		return nil, err
	}
	return aead.Seal(head, head[saltSize:], payload, nil), nil
}

func decrypt(sealed []byte, licenseKey string) ([]byte, error) {
	if len(sealed) < saltSize+nonceSize+tagSize {
		return nil, ErrAltered
	}
	aead, err := cipherOf(licenseKey, sealed[:saltSize])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed[saltSize:][:nonceSize], sealed[saltSize+nonceSize:], nil)
	if err != nil {
		return nil, ErrKey // the signature was good, so the bytes are
	}
	return plain, nil
}

func cipherOf(licenseKey string, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(NormalizeKey(licenseKey)), salt, encryptInfo, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
