package licensing

import (
	"context"

	"google.golang.org/protobuf/types/known/structpb"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Heartbeat notes that a device is running; store/seen.go says when that is stored, heartbeatEvery (api/token.go) at
// what pace clients are asked to call. session is the client's object and its JSON, both nil if it sent none. Errors as
// CheckHolder.
func (s *Seats) Heartbeat(
	ctx context.Context, h Holder, c Client, session *structpb.Struct, sessionJSON []byte,
) (*License, error) {
	seat, err := s.CheckHolder(ctx, h, &c)
	if err != nil {
		return nil, err
	}
	l, now, said := seat.License, s.Clock.Now(), c.texts()
	c.HardwareID = seat.HardwareID
	s.seen(l.ID, seat.Device, c, sessionJSON)
	s.record(l.ID, now, &eventsv1.LicenseHeartbeat{
		LicenseId:   l.ID,
		HardwareId:  c.HardwareID,
		DeviceName:  said.deviceName,
		Os:          said.os,
		AppVersion:  said.appVersion,
		SessionId:   said.sessionID,
		Ip:          c.IP,
		ViaProxy:    c.ViaProxy,
		ClientTime:  timestamp(c.Time),
		SessionData: session,
	})
	return l, nil
}
