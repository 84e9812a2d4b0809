package appliance

import "context"

// verdict says whether licenses are served.
type verdict struct {
	// refusal is nil where they are.
	refusal error
}

var admitted = &verdict{}

// Admit refuses to serve a license while the installation is not licensed. It answers from memory. Errors:
// ErrNotLicensed.
func (a *Appliance) Admit(ctx context.Context) error {
	v := a.verdict.Load()
	if v == nil { // nothing was read yet
		if err := a.Refresh(ctx); err != nil {
			return err
		}
		v = a.verdict.Load()
	}
	return v.refusal
}

// Refresh reads the installation, which other processes may have changed. While it cannot be read, time goes on for
// what is known.
func (a *Appliance) Refresh(ctx context.Context) error {
	i, err := a.Store.Installation(ctx)
	if err == nil && i == nil {
		i = &Installation{}
	}
	if err == nil {
		err = a.open(ctx, i)
	}
	if err != nil {
		i = a.onward(a.known())
	}
	if i != nil {
		a.note(i)
	}
	return err
}

// onward is what was known, at the time of now.
func (a *Appliance) onward(known *Installation) *Installation {
	if known == nil {
		return nil
	}
	i := *known
	a.mu.Lock()
	defer a.mu.Unlock()
	i.SeenAt = a.keeper.at(a.keeper.kept, a.now())
	return &i
}

// Status is that of what was read last; empty before.
func (a *Appliance) Status() Status {
	if i := a.known(); i != nil {
		return i.Status(a.now())
	}
	return ""
}

// Bound reports whether licenses are refused, by what was read last, while this installation is not licensed.
func (a *Appliance) Bound() bool {
	i := a.known()
	return i != nil && a.binds(i)
}

func (a *Appliance) binds(i *Installation) bool { return a.Required || !i.LicensedAt.IsZero() }

// known is what was read last, nil before.
func (a *Appliance) known() *Installation {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// note has Admit follow what was read, unless something newer was read before.
func (a *Appliance) note(i *Installation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last != nil && a.last.Version > i.Version {
		i = a.last
	}
	a.last = i
	a.verdict.Store(a.judge(i))
}

func (a *Appliance) judge(i *Installation) *verdict {
	status := i.Status(a.now())
	if status.Licensed() || !a.binds(i) {
		return admitted
	}
	return &verdict{ErrNotLicensed.With("status", status)}
}
