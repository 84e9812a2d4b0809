package store

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/block"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

type blockRow struct {
	ID            string
	HardwareID    string
	Network       string
	Component     string
	ComponentHash []byte
	LicenseID     *string
	Product       string
	Reason        string
	BlockedUntil  *time.Time
	CreatedAt     time.Time
}

func newBlockRow(b *licensing.Block, ring *keyring.Ring) blockRow {
	row := blockRow{
		ID:           b.ID,
		HardwareID:   b.HardwareID,
		Component:    b.Component.Name,
		Product:      b.Product,
		Reason:       b.Reason,
		BlockedUntil: nullable(b.Until),
		CreatedAt:    b.CreatedAt,
	}
	if b.Network.IsValid() {
		row.Network = b.Network.String()
	}
	if b.LicenseID != "" {
		row.LicenseID = &b.LicenseID
	}
	if c := b.Component; c.Name != "" {
		mac := ring.MAC(componentPurpose, componentData(c.Name, c.Value))
		row.ComponentHash = mac.Sum[:]
	}
	return row
}

func (r *blockRow) block() licensing.Block {
	b := licensing.Block{
		ID:         r.ID,
		HardwareID: r.HardwareID,
		Component:  licensing.Component{Name: r.Component},
		Product:    r.Product,
		Reason:     r.Reason,
		Until:      value(r.BlockedUntil),
		CreatedAt:  r.CreatedAt.UTC(),
	}
	if r.Network != "" {
		b.Network, _ = netip.ParsePrefix(r.Network) // written by newBlockRow
	}
	if r.LicenseID != nil {
		b.LicenseID = *r.LicenseID
	}
	return b
}

// AddBlock implements block.Store.
func (s *Store) AddBlock(
	ctx context.Context, b *licensing.Block, made func(*licensing.License) ([]proto.Message, error),
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		var of *licensing.License
		if b.LicenseID != "" {
			l, err := lockLicense(ctx, s.db, tx, b.LicenseID)
			if errors.Is(err, db.ErrNotFound) {
				return apierr.InvalidField("license_id", "no license has this license_id")
			} else if err != nil {
				return err
			}
			of = &l
		}
		if b.Product != "" {
			if _, err := codedProduct(tx, b.Product); err != nil {
				return err
			}
		}
		events, err := made(of)
		if err != nil {
			return err
		}
		row := newBlockRow(b, s.keys.Ring)
		if err := s.onlyBlock(tx, b, &row); err != nil {
			return err
		}
		if err := tx.Table("blocks").Create(&row).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, cmp.Or(b.LicenseID, b.ID), events)
	}))
}

// onlyBlock refuses a block that is there. Until the end of the transaction nobody else adds one.
func (s *Store) onlyBlock(tx *gorm.DB, b *licensing.Block, row *blockRow) error {
	if s.db.Engine() == db.Postgres {
		if err := tx.Exec("LOCK TABLE blocks IN SHARE ROW EXCLUSIVE MODE").Error; err != nil {
			return err
		}
	}
	same := tx.Table("blocks").Where("hardware_id = ? AND network = ? AND component = ? AND product = ?",
		row.HardwareID, row.Network, row.Component, row.Product).
		Where("blocked_until IS NULL OR blocked_until > ?", b.CreatedAt)
	if row.LicenseID != nil {
		same = same.Where("license_id = ?", *row.LicenseID)
	} else {
		same = same.Where("license_id IS NULL")
	}
	if c := b.Component; c.Name != "" { // stored under any of the master keys
		var hashes [][]byte
		for _, mac := range s.keys.Ring.MACs(componentPurpose, componentData(c.Name, c.Value)) {
			hashes = append(hashes, mac.Sum[:])
		}
		same = same.Where("component_hash IN ?", hashes)
	}
	var ids []string
	err := same.Limit(1).Pluck("id", &ids).Error
	if err == nil && len(ids) > 0 {
		return block.ErrExists.With("block_id", ids[0])
	}
	return err
}

// RemoveBlock implements block.Store.
func (s *Store) RemoveBlock(ctx context.Context, id string, events func(*licensing.Block) []proto.Message) error {
	if !uid.Is(id) {
		return block.ErrNotFound
	}
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		var row blockRow
		if err := missing(s.db.Lock(tx).Table("blocks").Where("id = ?", id).Take(&row).Error,
			block.ErrNotFound); err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM blocks WHERE id = ?", id).Error; err != nil {
			return err
		}
		b := row.block()
		return s.publish(ctx, tx, cmp.Or(b.LicenseID, b.ID), events(&b))
	}))
}

// Blocks implements block.Store.
func (s *Store) Blocks(ctx context.Context, span licensing.Span) (licensing.Page[licensing.Block], error) {
	all := func() *gorm.DB { return s.db.Read(ctx).Table("blocks") }
	newest := newestFirst("created_at", func(r *blockRow) (time.Time, string) { return r.CreatedAt, r.ID })
	return readPage(all, allColumns, span, newest, (*blockRow).block)
}

// blocksStale is how long blocks stay in force while the database is away.
const blocksStale = time.Hour

// Blocks implements licensing.Blocks: all blocks are in memory.
type Blocks struct {
	db   *db.DB
	ring *keyring.Ring
	all  *cache.Cache[struct{}, *blockSet]
	// held spares the look-up in the cache, for which every validation would pay.
	held cache.Place[*blockSet]
}

// NewBlocks returns blocks that are read when somebody asks. link reports whether changes of them arrive.
func NewBlocks(d *db.DB, ring *keyring.Ring, c clock.Clock, link cache.Link) *Blocks {
	options := cache.Options{
		Capacity: 1, TTL: validFor, Stale: blocksStale, Unlinked: cache.UnlinkedFor, Link: link, Apart: d.InTx,
	}
	return &Blocks{db: d, ring: ring, all: cache.New[struct{}, *blockSet](options, c)}
}

// blockSet is blocks by what they block.
type blockSet struct {
	hardware map[string][]*licensing.Block
	// devices are those of which a component is stored that is blocked, components what is blocked of new ones.
	devices    map[string][]*licensing.Block
	components map[string][]*licensing.Block
	networks   map[netip.Prefix][]*licensing.Block
	// bits are the lengths of the networks, each once.
	bits []int
	size int
	ring *keyring.Ring
}

func (b *Blocks) set(ctx context.Context) (*blockSet, error) {
	if set, ok := b.all.Held(&b.held); ok {
		return set, nil
	}
	set, _, err := b.all.Fetch(ctx, struct{}{}, b.read)
	b.all.Hold(struct{}{}, &b.held)
	return set, err
}

func (b *Blocks) read(ctx context.Context) (*blockSet, error) {
	var rows []blockRow
	if err := b.db.Read(ctx).Table("blocks").Order("created_at, id").Find(&rows).Error; err != nil {
		return nil, db.Error(err)
	}
	set := &blockSet{
		hardware:   map[string][]*licensing.Block{},
		devices:    map[string][]*licensing.Block{},
		components: map[string][]*licensing.Block{},
		networks:   map[netip.Prefix][]*licensing.Block{},
		size:       len(rows),
		ring:       b.ring,
	}
	for i := range rows {
		set.add(&rows[i])
	}
	return set, db.Error(set.readDevices(b.db.Read(ctx)))
}

// readDevices finds the devices that have, or had, what is blocked.
func (set *blockSet) readDevices(tx *gorm.DB) error {
	const (
		components = `SELECT device_id, hash FROM device_components
			WHERE hash IN (SELECT component_hash FROM blocks WHERE component_hash IS NOT NULL)`
		// A device with neither former ids nor components is always called by the id that it sends.
		renamed = `SELECT a.device_id, b.hardware_id FROM blocks b
			JOIN device_aliases a ON a.hardware_id = b.hardware_id
			WHERE b.license_id IS NULL OR b.license_id = a.license_id
			UNION SELECT c.device_id, b.hardware_id FROM device_components c JOIN devices d ON d.id = c.device_id
			JOIN blocks b ON b.hardware_id = d.hardware_id WHERE b.license_id IS NULL OR b.license_id = c.license_id`
	)
	var holders []struct {
		DeviceID   string
		Hash       []byte
		HardwareID string
	}
	for _, statement := range []string{components, renamed} {
		if err := tx.Raw(statement).Scan(&holders).Error; err != nil {
			return err
		}
		for _, h := range holders {
			blocks := set.components[string(h.Hash)]
			if h.HardwareID != "" {
				blocks = set.hardware[h.HardwareID]
			}
			set.devices[h.DeviceID] = append(set.devices[h.DeviceID], blocks...)
		}
		holders = nil
	}
	return nil
}

func (s *blockSet) add(row *blockRow) {
	block := row.block()
	switch {
	case row.HardwareID != "":
		s.hardware[row.HardwareID] = append(s.hardware[row.HardwareID], &block)
	case row.Network != "":
		s.networks[block.Network] = append(s.networks[block.Network], &block)
		if !slices.Contains(s.bits, block.Network.Bits()) {
			s.bits = append(s.bits, block.Network.Bits())
		}
	default:
		hash := string(row.ComponentHash)
		s.components[hash] = append(s.components[hash], &block)
	}
}

// Current implements licensing.Blocks.
func (b *Blocks) Current(ctx context.Context) (licensing.BlockSet, error) {
	set, err := b.set(ctx)
	if err != nil || set.size == 0 {
		return nil, err
	}
	return set, nil
}

// Find implements licensing.BlockSet.
func (set *blockSet) Find(s licensing.Suspect) *licensing.Block {
	found := cmp.Or(inForce(set.hardware[s.HardwareID], s), inForce(set.devices[s.DeviceID], s), set.network(s))
	if found != nil || len(set.components) == 0 {
		return found
	}
	for name, value := range s.Components {
		for _, mac := range set.ring.MACs(componentPurpose, componentData(name, value)) {
			if found := inForce(set.components[string(mac.Sum[:])], s); found != nil {
				return found
			}
		}
	}
	return nil
}

// FindNetwork implements licensing.BlockSet.
func (s *blockSet) FindNetwork(suspect licensing.Suspect) *licensing.Block {
	for _, blocks := range s.networks {
		if found := inForce(blocks, suspect); found != nil {
			return found
		}
	}
	return nil
}

func (s *blockSet) network(suspect licensing.Suspect) *licensing.Block {
	addr, err := netip.ParseAddr(suspect.IP)
	if err != nil {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	for _, bits := range s.bits {
		network, err := addr.Prefix(bits)
		if err != nil {
			continue // longer than addresses of this kind
		}
		if found := inForce(s.networks[network], suspect); found != nil {
			return found
		}
	}
	return nil
}

func inForce(blocks []*licensing.Block, s licensing.Suspect) *licensing.Block {
	for _, b := range blocks {
		if b.InForce(s) {
			return b
		}
	}
	return nil
}

// OnEvent forgets the blocks when one was added or removed.
func (b *Blocks) OnEvent(e event.Event) {
	if strings.HasPrefix(e.Type, "device.") &&
		(e.Type == eventsv1.TypeDeviceBlocked || e.Type == eventsv1.TypeDeviceUnblocked) {
		b.all.DropAll()
	}
}

// OnGap forgets the blocks: changes may have been missed.
func (b *Blocks) OnGap() { b.all.DropAll() }
