package guard

import "time"

// limited refuses a credential that will not be looked at, where so many of its address are ahead of it.
func (a *Attempts) limited(s *address, credential Credential, ahead int) error {
	now := a.clock.Now().UnixMicro()
	switch {
	case s.failed(now) < a.limit:
		return nil
	case !credential.made:
		return ErrLimited.WithRetryAfter(s.retryAfter(now, a.limit))
	case ahead >= s.spare(now):
		return ErrLimited.WithRetryAfter(time.Second)
	}
	return nil
}

// fail counts a failure, one of as many as New was told (package app says how many), or fails with ErrLimited when
// there were too many before.
func (a *Attempts) fail(from string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now().UnixMicro()
	state := a.state(from, now)
	if state.failed(now) >= a.limit {
		return ErrLimited.WithRetryAfter(state.retryAfter(now, a.limit))
	}
	state.fail(now)
	return nil
}
