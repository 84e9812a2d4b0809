// Package block is what administrators do with blocks: devices, networks and components that are refused. The row
// not_blocked of licensing/verdict.go asks them at every use, of tokens too; seats stay. Replicas hear of
// device.blocked and device.unblocked (Watches in jobs.go); a machine without a network hears nothing of a block.
// Operators make and lift blocks (routes.go of admin's internal/api).
package block

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	maxText   = 255
	firstYear = 2000
	lastYear  = 9000
	onlyOne   = "send exactly one of hardware_id, network and component"
)

// Blocks are the use cases of administrators for blocks.
type Blocks struct {
	Store Store
	Clock clock.Clock
}

// NewBlock is what an administrator says of a block to be made.
type NewBlock struct {
	HardwareID string
	// Network is an address or a CIDR block.
	Network   string
	Component *licensing.Component
	// LicenseID and Product are empty for all.
	LicenseID, Product string
	Reason             string
	// Until is nil for a block without end. A day ends in the time zone of the license that is named.
	Until *licensing.End
}

// Add makes a block. Errors: VALIDATION_ERROR, ErrExists.
func (s *Blocks) Add(ctx context.Context, by *licensing.Actor, n NewBlock) (licensing.Block, error) {
	now := s.Clock.Now()
	b, problems := n.block(now)
	if len(problems) > 0 {
		return licensing.Block{}, apierr.InvalidFields(problems)
	}
	err := s.Store.AddBlock(ctx, &b, func(l *licensing.License) ([]proto.Message, error) {
		if err := n.end(&b, l, now); err != nil {
			return nil, err
		}
		return []proto.Message{blocked(&b), audited(by, "device.block", &b, nil, auditView(&b))}, nil
	})
	return b, err
}

func (n *NewBlock) end(b *licensing.Block, l *licensing.License, now time.Time) error {
	if n.Until == nil {
		return nil
	}
	zone := time.UTC
	if l != nil {
		zone = l.Location()
	}
	if b.Until = n.Until.In(zone); !b.Until.After(now) || b.Until.Year() < firstYear || b.Until.Year() > lastYear {
		return apierr.InvalidField("until", fmt.Sprintf("must be ahead, in the year %d at the latest", lastYear))
	}
	return nil
}

// Remove takes a block away. Errors: ErrNotFound.
func (s *Blocks) Remove(ctx context.Context, by *licensing.Actor, id string) error {
	return s.Store.RemoveBlock(ctx, id, func(b *licensing.Block) []proto.Message {
		return []proto.Message{unblocked(b), audited(by, "device.unblock", b, auditView(b), nil)}
	})
}

func (n *NewBlock) block(now time.Time) (licensing.Block, map[string]string) {
	b := licensing.Block{
		ID:         uuid.Must(uuid.NewV7()).String(),
		HardwareID: n.HardwareID,
		LicenseID:  n.LicenseID,
		Product:    n.Product,
		Reason:     n.Reason,
		CreatedAt:  now,
	}
	p := map[string]string{}
	given := 0
	for _, is := range []bool{n.HardwareID != "", n.Network != "", n.Component != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		p["hardware_id"] = onlyOne
	}
	if n.Network != "" {
		network, ok := licensing.ParseNetwork(n.Network)
		if !ok {
			p["network"] = "must be an address or a network, as 192.0.2.0/24"
		}
		b.Network = network
	}
	if n.Component != nil {
		b.Component = *n.Component
		licensing.ComponentProblems(p, "component", b.Component)
		if licensing.RealComponents(map[string]string{b.Component.Name: b.Component.Value}) == nil && len(p) == 0 {
			p["component"] = "must have a value, and not one that many computers report, which tells no device"
		}
	}
	n.problems(p)
	return b, p
}

func (n *NewBlock) problems(p map[string]string) {
	for name, text := range map[string]string{"hardware_id": n.HardwareID, "product": n.Product, "reason": n.Reason} {
		if utf8.RuneCountInString(text) > maxText {
			p[name] = fmt.Sprintf("must have at most %d characters", maxText)
		}
	}
	if strings.TrimSpace(n.Reason) == "" {
		p["reason"] = "is required"
	}
	if n.LicenseID != "" && !uid.Is(n.LicenseID) {
		p["license_id"] = "must be the license_id of a license"
	}
}

func blocked(b *licensing.Block) proto.Message {
	return &eventsv1.DeviceBlocked{
		BlockId:    b.ID,
		HardwareId: b.HardwareID,
		Network:    networkText(b),
		Component:  b.Component.Name,
		LicenseId:  b.LicenseID,
		Product:    b.Product,
		Reason:     b.Reason,
		Until:      event.Timestamp(b.Until),
	}
}

func unblocked(b *licensing.Block) proto.Message {
	return &eventsv1.DeviceUnblocked{
		BlockId:    b.ID,
		HardwareId: b.HardwareID,
		Network:    networkText(b),
		Component:  b.Component.Name,
		LicenseId:  b.LicenseID,
		Product:    b.Product,
	}
}

func networkText(b *licensing.Block) string {
	if !b.Network.IsValid() {
		return ""
	}
	return b.Network.String()
}

// auditView is what the audit log shows of a block: of a component its name alone.
func auditView(b *licensing.Block) map[string]any {
	shown := map[string]any{"block_id": b.ID, "reason": b.Reason}
	for name, text := range map[string]string{
		"hardware_id": b.HardwareID, "network": networkText(b), "component": b.Component.Name, "product": b.Product,
	} {
		if text != "" {
			shown[name] = text
		}
	}
	if !b.Until.IsZero() {
		shown["until"] = b.Until.UTC().Format(time.RFC3339Nano)
	}
	return shown
}

func audited(
	by *licensing.Actor, action string, b *licensing.Block, before, after map[string]any,
) *eventsv1.AuditRecorded {
	entry := audit.Entry(by, action, before, after)
	entry.LicenseId = b.LicenseID
	return entry
}
