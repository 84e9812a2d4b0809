//go:build !linux

package server

import "errors"

func (l *listener) turnAway() error { return errors.ErrUnsupported }

func (l *listener) waiting() bool { return false }
