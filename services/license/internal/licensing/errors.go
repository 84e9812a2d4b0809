package licensing

import (
	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// errTargetSeated is ErrActivated for a transfer.
var errTargetSeated = ErrActivated.WithMessagef("to_hardware_id has a seat of its own on this license, so nothing was moved; " +
	"to free the other seat, deactivate from_hardware_id")

// The reasons why a license cannot be used or changed.
var (
	ErrNotFound     = apierr.New(apierr.NotFound, errcode.LicenseNotFound, "no license has this key or id; check it for typing slips")
	ErrInactive     = apierr.New(apierr.Forbidden, errcode.LicenseInactive, "the license is deactivated; ask its vendor to reactivate it")
	ErrExpired      = apierr.New(apierr.Forbidden, errcode.LicenseExpired, "the license has expired; renew it to go on")
	ErrLimit        = apierr.New(apierr.Forbidden, errcode.DeviceLimitExceeded, "all seats of the license are taken; deactivate a device or raise max_devices")
	ErrActivated    = apierr.New(apierr.Conflict, errcode.AlreadyActivated, "the license is already activated on this device; nothing needs to be done")
	ErrNotActivated = apierr.New(apierr.Forbidden, errcode.DeviceNotActivated, "the license is not activated on this device; activate it first")
	ErrNoDevice     = apierr.New(apierr.NotFound, errcode.DeviceNotFound, "no device with this hardware_id is activated on the license")
	ErrHardwareID   = apierr.New(apierr.Invalid, errcode.HardwareIDNotUnique, "this hardware_id is a placeholder that many computers report, and devices would share a seat; send an id of the installation instead (/etc/machine-id on Linux, MachineGuid in HKLM\\SOFTWARE\\Microsoft\\Cryptography on Windows, IOPlatformUUID on macOS) or a random one that the application makes once and keeps")
	ErrOffline      = apierr.New(apierr.Conflict, errcode.OfflineTokenActive, "the device holds an offline token that has not expired; it can leave its seat afterwards, or an administrator can deactivate it")
	ErrKeyExists    = apierr.New(apierr.Conflict, errcode.LicenseKeyExists, "another license has this license_key; choose another or leave it out to have one made")
	ErrVersion      = apierr.New(apierr.PreconditionFailed, errcode.VersionMismatch, "the license has changed since it was read; read it again and repeat the change")
	ErrToken        = apierr.New(apierr.Unauthenticated, errcode.InvalidToken, "the token is not valid; obtain a new one")
)
