package rpc

import (
	"context"
	"crypto/sha256"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// revealed is a key with its secret, as it is kept for an Idempotency-Key.
type revealed struct {
	Key    credential.APIKey
	Secret string
	// OldExpiresAt is when the secret before ends; zero for a new key.
	OldExpiresAt time.Time
}

// CreateAPIKey implements authv1connect.AuthServiceHandler.
func (s server) CreateAPIKey(ctx context.Context, req *connect.Request[authv1.CreateAPIKeyRequest]) (*connect.Response[authv1.CreateAPIKeyResponse], error) {
	once, err := idempotencyKey(req.Msg.Actor, "create", req.Msg.IdempotencyKey, req.Msg.ApiKey)
	if err != nil {
		return nil, err
	}
	made, err := idempotency.Do(ctx, s.answers, once, func(ctx context.Context) (revealed, error) {
		k, text, err := s.rules.CreateAPIKey(ctx, req.Msg.Actor, newAPIKey(req.Msg.GetApiKey()))
		return revealed{Key: k, Secret: text}, err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.CreateAPIKeyResponse{ApiKey: message(made.Key), Secret: made.Secret}), nil
}

// ListAPIKeys implements authv1connect.AuthServiceHandler.
func (s server) ListAPIKeys(ctx context.Context, _ *connect.Request[authv1.ListAPIKeysRequest]) (*connect.Response[authv1.ListAPIKeysResponse], error) {
	keys, err := s.rules.APIKeys(ctx)
	if err != nil {
		return nil, err
	}
	res := &authv1.ListAPIKeysResponse{ApiKeys: make([]*authv1.APIKey, len(keys))}
	for i, k := range keys {
		res.ApiKeys[i] = message(k)
	}
	return connect.NewResponse(res), nil
}

// UpdateAPIKey implements authv1connect.AuthServiceHandler.
func (s server) UpdateAPIKey(ctx context.Context, req *connect.Request[authv1.UpdateAPIKeyRequest]) (*connect.Response[authv1.UpdateAPIKeyResponse], error) {
	k, err := s.rules.UpdateAPIKey(ctx, req.Msg.Actor, req.Msg.ApiKeyId, patch(req.Msg.GetChange()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.UpdateAPIKeyResponse{ApiKey: message(k)}), nil
}

// RotateAPIKey implements authv1connect.AuthServiceHandler.
func (s server) RotateAPIKey(ctx context.Context, req *connect.Request[authv1.RotateAPIKeyRequest]) (*connect.Response[authv1.RotateAPIKeyResponse], error) {
	id, grace := req.Msg.ApiKeyId, req.Msg.GraceSeconds
	once, err := idempotencyKey(req.Msg.Actor, "rotate", req.Msg.IdempotencyKey, &authv1.RotateAPIKeyRequest{ApiKeyId: id, GraceSeconds: grace})
	if err != nil {
		return nil, err
	}
	rotated, err := idempotency.Do(ctx, s.answers, once, func(ctx context.Context) (revealed, error) {
		k, text, oldEnd, err := s.rules.RotateAPIKey(ctx, req.Msg.Actor, id, int(grace))
		return revealed{Key: k, Secret: text, OldExpiresAt: oldEnd}, err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.RotateAPIKeyResponse{
		ApiKey: message(rotated.Key), Secret: rotated.Secret, OldExpiresAt: timestamppb.New(rotated.OldExpiresAt),
	}), nil
}

// RevokeAPIKey implements authv1connect.AuthServiceHandler.
func (s server) RevokeAPIKey(ctx context.Context, req *connect.Request[authv1.RevokeAPIKeyRequest]) (*connect.Response[authv1.RevokeAPIKeyResponse], error) {
	at, err := s.rules.RevokeAPIKey(ctx, req.Msg.Actor, req.Msg.ApiKeyId)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&authv1.RevokeAPIKeyResponse{RevokedAt: timestamppb.New(at)}), nil
}

// idempotencyKey binds an administrator's key to who it is and to the very same request.
func idempotencyKey(by *credential.Actor, method, key string, msg proto.Message) (idempotency.Key, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		return idempotency.Key{}, err
	}
	return idempotency.Key{Scope: by.GetId(), Key: key, Request: sha256.Sum256(append([]byte(method+"\n"), body...))}, nil
}

func newAPIKey(m *authv1.APIKeyChange) credential.NewAPIKey {
	p := patch(m)
	return credential.NewAPIKey{
		ClientName: m.GetClientName(), Allowed: m.GetAllowedEndpoints().GetValues(), PerMinute: p.PerMinute, PerHour: p.PerHour, Per: p.Per,
		ExpiresAt: p.ExpiresAt,
	}
}

func patch(m *authv1.APIKeyChange) credential.APIKeyPatch {
	p := credential.APIKeyPatch{ClientName: m.ClientName, PerMinute: number(m.PerMinute), PerHour: number(m.PerHour), Per: m.Per}
	if m.AllowedEndpoints != nil {
		allowed := m.AllowedEndpoints.Values
		p.Allowed = &allowed
	}
	switch {
	case m.Endless:
		p.ExpiresAt = &time.Time{}
	case m.ExpiresAt != nil:
		at := m.ExpiresAt.AsTime()
		p.ExpiresAt = &at
	}
	return p
}

func number(n *int32) *int {
	if n == nil {
		return nil
	}
	i := int(*n)
	return &i
}

func message(k credential.APIKey) *authv1.APIKey {
	m := &authv1.APIKey{
		ApiKeyId: k.ID, ClientName: k.ClientName, AllowedEndpoints: k.Allowed, RateLimit: rateLimit(k), CreatedAt: timestamppb.New(k.CreatedAt),
	}
	if !k.ExpiresAt.IsZero() {
		m.ExpiresAt = timestamppb.New(k.ExpiresAt)
	}
	return m
}

func rateLimit(k credential.APIKey) *authv1.RateLimit {
	return &authv1.RateLimit{PerMinute: int32(k.RateLimit.PerMinute), PerHour: int32(k.RateLimit.PerHour), Per: k.RateLimit.Per}
}
