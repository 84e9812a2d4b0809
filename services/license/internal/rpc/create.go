package rpc

import (
	"context"
	"crypto/sha256"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// CreateLicense implements the contract.
func (s *Server) CreateLicense(ctx context.Context, req *connect.Request[licensev1.CreateLicenseRequest]) (*connect.Response[licensev1.CreateLicenseResponse], error) {
	key, err := idempotencyKey(req.Msg.GetActor().GetId(), "create", req.Msg.GetIdempotencyKey(), req.Msg.GetLicense())
	if err != nil {
		return nil, err
	}
	made, err := idempotency.Do(ctx, s.Idempotency, key, func(ctx context.Context) (licensing.Created, error) {
		return s.Licensing.Create(ctx, actor(req.Msg.GetActor()), wanted(req.Msg.GetLicense()))
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.CreateLicenseResponse{License: newLicense(&made.License), LicenseKey: made.Key}), nil
}

// idempotencyKey binds an administrator's key to him and to the very same request.
func idempotencyKey(actorID, method, key string, msg proto.Message) (idempotency.Key, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		return idempotency.Key{}, err
	}
	return idempotency.Key{Scope: actorID, Key: key, Request: sha256.Sum256(append([]byte(method+"\n"), body...))}, nil
}

// deviceChange is a request that changes a device of a license, in the name of an administrator.
type deviceChange interface {
	proto.Message
	GetActor() *rpcv1.Actor
	GetLicenseId() string
	GetIdempotencyKey() string
}

// changeKey is idempotencyKey for a change of a device: the same administrator, license and devices make the same request,
// whatever else is known of who asks.
func changeKey(method string, m deviceChange) (idempotency.Key, error) {
	same := proto.Clone(m)
	same.ProtoReflect().Clear(same.ProtoReflect().Descriptor().Fields().ByName("actor"))
	return idempotencyKey(m.GetActor().GetId(), method, m.GetIdempotencyKey(), same)
}

func wanted(n *licensev1.NewLicense) licensing.NewLicense {
	return licensing.NewLicense{
		CustomerID:      n.GetCustomerId(),
		Product:         n.GetProduct(),
		Key:             n.LicenseKey,
		MaxDevices:      optionalInt(n.MaxDevices),
		MaxOfflineHours: optionalInt(n.MaxOfflineHours),
		ExpiresInDays:   optionalInt(n.ExpiresInDays),
		ExpiresAt:       optionalTime(n.GetExpiresAt()),
		Features:        n.GetFeatures(),
		IsTest:          n.GetIsTest(),
		Metadata:        n.GetMetadataJson(),
	}
}

// BulkCreateLicenses implements the contract.
func (s *Server) BulkCreateLicenses(ctx context.Context, req *connect.Request[licensev1.BulkCreateLicensesRequest]) (*connect.Response[licensev1.BulkCreateLicensesResponse], error) {
	key := idempotency.Key{Scope: req.Msg.GetActor().GetId(), Key: req.Msg.GetIdempotencyKey(), Request: sha256.Sum256(append([]byte("bulk-create\n"), req.Msg.GetBodySha256()...))}
	outcome, err := idempotency.Do(ctx, s.Idempotency, key, func(ctx context.Context) (bulkOutcome, error) {
		return s.bulkCreate(ctx, req.Msg)
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(outcome.response(req.Msg.GetRows())), nil
}

// bulkOutcome is kept for the Idempotency-Key, so it is plain data: row i was made or refused.
type bulkOutcome struct {
	Made    []licensing.Created
	Refused []*apierr.Error
}

func (s *Server) bulkCreate(ctx context.Context, msg *licensev1.BulkCreateLicensesRequest) (bulkOutcome, error) {
	rows := make([]licensing.NewLicense, len(msg.GetRows()))
	for i, row := range msg.GetRows() {
		rows[i] = wanted(row.GetLicense())
	}
	made, errs, err := s.Licensing.CreateMany(ctx, actor(msg.GetActor()), rows)
	outcome := bulkOutcome{Made: made, Refused: make([]*apierr.Error, len(errs))}
	for i, refusal := range errs {
		outcome.Refused[i] = apierr.From(refusal)
	}
	return outcome, err
}

func (o *bulkOutcome) response(rows []*licensev1.BulkRow) *licensev1.BulkCreateLicensesResponse {
	resp := &licensev1.BulkCreateLicensesResponse{}
	for i, row := range rows {
		if refusal := o.Refused[i]; refusal != nil {
			resp.Failed = append(resp.Failed, &licensev1.BulkFailed{Index: row.GetIndex(), Error: rpc.Info(refusal)})
			continue
		}
		resp.Created = append(resp.Created, &licensev1.BulkCreated{
			Index: row.GetIndex(), License: newLicense(&o.Made[i].License), LicenseKey: o.Made[i].Key,
		})
	}
	return resp
}
