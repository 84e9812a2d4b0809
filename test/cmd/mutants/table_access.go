//go:build unix

package main

const (
	tokenTests = "./pkg/token"
	limitTests = "./pkg/ratelimit"
	authTests  = "./services/auth"
	adminTests = "./services/admin"
)

// credentials: nobody gets in who should not, nor more often than he may.
var credentials = []mutant{
	{
		name: "token-audience-unchecked", breaks: "a token of another audience passes",
		file: "pkg/token/token.go",
		old:  "jwt.WithAudience(audience), ", new: "",
		pkg: tokenTests, tests: "TestVerify",
	},
	{
		name: "token-any-algorithm", breaks: "the token says how it is checked: the public key passes for a shared secret",
		file: "pkg/token/token.go",
		old: `jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err = parser.ParseWithClaims(raw, into, func(t *jwt.Token) (_ any, err error) {
`,
		new: `jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err = parser.ParseWithClaims(raw, into, func(t *jwt.Token) (_ any, err error) {
		if _, symmetric := t.Method.(*jwt.SigningMethodHMAC); symmetric {
			kid, _ := t.Header["kid"].(string)
			key, err := keys.PublicKey(ctx, kid)
			return []byte(key), err
		}
`,
		pkg: authTests, tests: "TestTokenAttacks",
	},
	{
		name: "token-never-expires", breaks: "an expired token passes",
		file: "pkg/token/token.go",
		old:  "	if !now.Before(expires.Time) {", new: "	if false {",
		pkg: tokenTests, tests: "TestVerify TestVerifierNoticesExpiryOfWhatItRemembers",
	},
	{
		name: "token-signature-lax", breaks: "an altered last character of a token passes",
		file: "pkg/token/token.go",
		old:  "jwt.WithStrictDecoding(), ", new: "",
		pkg: tokenTests, tests: "TestEveryAlteredCharacterIsNoticed",
	},
	{
		name: "offline-token-as-access", breaks: "license takes an offline token for an access token",
		file: "pkg/token/token.go",
		old:  "jwt.WithAudience(audience), ", new: "",
		pkg: licenseAPI, tests: "TestOfflineToken",
	},
	{
		name: "reuse-revokes-nothing", breaks: "a refresh token used twice leaves its family in force",
		file: "services/auth/internal/credential/family.go",
		old:  "err = s.reused(ctx, from, f)", new: "_ = f",
		pkg: authTests, tests: "TestReuseRevokesTheFamily",
	},
	{
		name: "refresh-after-use", breaks: "a refresh token is good again although its successor is in use",
		file: "services/auth/internal/credential/family.go",
		old:  "hash == f.Previous && !f.InUse", new: "hash == f.Previous",
		pkg: authTests, tests: "TestC7LostAnswers",
	},
	{
		name: "refresh-unlocked", breaks: "a pair is replaced while its access token is being admitted",
		file: "services/auth/internal/store/family.go",
		old:  "id = ? AND current_sha256 = ? AND revoked_at IS NULL", new: "id = ? AND ? IS NOT NULL AND revoked_at IS NULL",
		pkg: "./services/auth/internal/store", tests: "TestStore",
	},
	{
		name: "family-revocation-ignored", breaks: "access tokens of a revoked family pass at auth",
		file: "services/auth/internal/credential/access.go",
		old:  "if state.Revoked || state.Void {", new: "if state.Void {",
		pkg: authTests, tests: "TestReuseRevokesTheFamily",
	},
	{
		name: "family-revocation-unasked", breaks: "access tokens of a revoked family pass at license",
		file: "services/license/internal/api/token.go",
		old:  "	if refused {\n", new: "	if false && refused {\n",
		pkg: licenseAPI, tests: "TestRevokedFamilyIsRefused",
	},
	{
		name: "limit-off-by-one", breaks: "the 61st call in a minute is admitted",
		file: "pkg/ratelimit/window.go",
		old:  "return max(limit-w.total, 0)", new: "return max(limit+1-w.total, 0)",
		pkg: limitTests, tests: "TestSixtyFirstCallOfAnyMinuteIsRefused",
	},
	{
		name: "limit-per-replica", breaks: "each replica admits the whole limit",
		file: "pkg/ratelimit/shared.go",
		old:  "	return &shared{db: d, clock: c, log: log, fallback: NewLocal(c), leases: map[string]*lease{}}", new: "	return NewLocal(c)",
		pkg: limitTests, tests: "TestTwoReplicasActAsOne",
	},
	{
		name: "limit-sharing-unset", breaks: "license counts calls per replica although the setting says shared",
		file: "services/license/license.go",
		old:  "if cfg.RateLimitShared {", new: "if false {",
		pkg: licenseAPI, tests: "TestReplicasShareALimit",
	},
	{
		name: "limit-never-refunded", breaks: "failures of ours count against the caller",
		file: "pkg/apikey/guard.go",
		old:  "			g.opts.Limiter.Refund(ctx, bucket)\n", new: "",
		pkg: "./pkg/apikey", tests: "TestFailuresOfOursDoNotCount",
	},
	{
		name: "endpoint-unchecked", breaks: "an API key opens endpoints that it does not cover",
		file: "pkg/apikey/guard.go",
		old:  "case !Allows(key.Allowed, c.Request.URL.Path):", new: "case false:",
		pkg: "./pkg/apikey", tests: "TestGuardOrderAndHeaders",
	},
	{
		name: "guesses-unlimited", breaks: "an address that failed too often goes on guessing",
		file: "pkg/guard/queue.go",
		old:  "	case !credential.made:", new: "	case false:",
		pkg: "./pkg/guard", tests: "TestM4TheRightGuessIsNotAnsweredEither",
	},
	{
		name: "guesses-at-once", breaks: "a guesser who asks many times at once has as many guesses",
		file: "pkg/guard/queue.go",
		old:  "s.busy >= atOnce || s.room(now, a.limit) <= 0 && s.busy > 0", new: "false",
		pkg: "./pkg/guard", tests: "TestGuessesAtOnce",
	},
	{
		name: "made-up-keys-unpaced", breaks: "each well-formed key that somebody made up costs a look-up, for ever",
		file: "pkg/guard/address.go",
		old:  "		s.paced += madePace\n", new: "",
		pkg: "./pkg/guard", tests: "TestFloodOfMadeUpKeysCostsBoundedLookUps",
	},
	{
		name: "ended-is-a-guess", breaks: "an old client's revoked key locks out the others of its address",
		file: "pkg/guard/guard.go",
		old:  "errors.Is(err, secret.ErrEnded) || token.Ours(err)", new: "token.Ours(err)",
		pkg: "./pkg/guard", tests: "TestWhatHasEndedIsNoGuess",
	},
	{
		name: "guard-forgets-the-good", breaks: "a good credential is refused because others failed",
		file: "pkg/guard/guard.go",
		old:  "	if !a.wasGood(credential) {", new: "	if true {",
		pkg: "./pkg/guard", tests: "TestWhatWasGoodLatelyIsNotRefusedForOthers",
	},
	{
		name: "role-unchecked", breaks: "any admin key may do everything",
		file: "services/admin/internal/api/credential.go",
		old:  "if err == nil && !key.Role.Covers(need) {", new: "if err == nil && false {",
		pkg: adminTests, tests: "TestRoleMatrix",
	},
	{
		name: "service-token-unchecked", breaks: "the internal port serves callers without a service token",
		file: "pkg/rpc/serve.go",
		old:  "service, _, err := g.tokens.verify(h[\"Authorization\"])", new: "service, err := \"admin\", error(nil)",
		pkg: licenseAPI, tests: "TestInternalPortWantsAServiceToken",
	},
	{
		name: "callers-unlisted", breaks: "any service may ask any procedure of another",
		file: "pkg/rpc/serve.go",
		old:  "!slices.Contains(g.callers[spec.Procedure], service)", new: "false",
		pkg: licenseAPI, tests: "TestM9WhoMayAskWhat",
	},
	{
		name: "service-speaks-for-another", breaks: "the key of one service signs for every other",
		file: "pkg/rpc/token.go",
		old:  "v.peers.find(claims.Issuer, kid)", new: "v.peers.find(\"analytics\", kid)",
		pkg: "./pkg/rpc", tests: "TestTokenAttacks",
	},
}

// requests: what is sent cannot do more than the API says.
var requests = []mutant{
	{
		name: "body-uncapped", breaks: "a body of any announced length is read",
		file: "pkg/httpx/body.go",
		old:  "case r.ContentLength > limit:", new: "case false:",
		pkg: "./pkg/httpx", tests: "TestBindCapsTheBody",
	},
	{
		name: "body-uncapped-chunked", breaks: "a body of unknown length is cut off and taken for whole",
		file: "pkg/httpx/body.go",
		old:  "	if int64(len(raw)) > limit {", new: "	if false {",
		pkg: "./pkg/httpx", tests: "TestBindCapsTheBody",
	},
	{
		name: "if-match-ignored", breaks: "If-Match holds no change up",
		file: "services/license/internal/manage/request.go",
		old:  "	return &version, nil", new: "	_ = version\n	return nil, nil",
		pkg: licenseAPI, tests: "TestVersions",
	},
	{
		name: "actor-by-anybody", breaks: "any service may manage licenses and API keys in anybody's name",
		file: "pkg/rpc/actor.go",
		old:  "case !slices.Contains(callers, service):", new: "case slices.Contains(callers, \"\"):",
		pkg: licenseAPI, tests: "TestM9WhoMayAskWhat",
	},
	{
		name: "actor-not-signed", breaks: "admin does not say in whose name it asks",
		file: "services/admin/internal/api/request.go",
		old:  "owner.Forward(c, actor(c))", new: "owner.Forward(c, nil)",
		pkg: adminTests, tests: "TestForwardedRoutes",
	},
	{
		name: "version-unchecked", breaks: "a change overwrites a newer version",
		file: "services/license/internal/licensing/manage.go",
		old:  "if p.IfVersion != nil && *p.IfVersion != before.Version {", new: "if false {",
		pkg: licenseRules, tests: "TestPatch",
	},
	{
		name: "reveal-unaudited", breaks: "nobody sees who had a license key shown",
		file: "services/license/internal/licensing/manage.go",
		old:  "		ch.Emit(audit(by, \"license.reveal_key\", licenseID, nil, nil))\n", new: "",
		pkg: licenseAPI, tests: "TestRevealKeyIsAudited",
	},
}

// consumption: analytics counts each event once in effect.
var consumption = []mutant{
	{
		name: "inbox-unchecked", breaks: "an event that is delivered twice counts twice",
		file: "services/analytics/internal/store/write.go",
		old:  "telemetryInboxTable.insert(tx, s.db.Engine(), telemetry)", new: "telemetryInboxTable.insert(tx, s.db.Engine(), telemetry[:0])",
		pkg: "./services/analytics/internal/store", tests: "TestEventsOnce",
	},
	{
		name: "epoch-unchecked", breaks: "a consumer that was replaced goes on writing",
		file: "services/analytics/internal/store/write.go",
		old:  "err == nil && current != epoch", new: "err == nil && current < epoch",
		pkg: "./services/analytics/internal/ingest", tests: "TestFencing",
	},
	{
		name: "detectors-forget", breaks: "a restart makes the detectors start anew",
		file: "services/analytics/internal/ingest/states.go",
		old:  "			c.observe(&o, logged[i].License.Detectable(), logged[i].Position)\n", new: "			_ = o\n",
		pkg: "./services/analytics/internal/ingest", tests: "TestRestart",
	},
	{
		name: "states-unwritten", breaks: "what the detectors remember is not stored",
		file: "services/analytics/internal/store/write.go",
		old:  "		rows = append(rows, stateRow{subject, b.Position, state, at(now)})\n", new: "		_, _ = subject, state\n",
		pkg: "./services/analytics/internal/store", tests: "TestStatesSurvive",
	},
	{
		name: "license-changes-unseen", breaks: "after a restart detectors judge again with terms that a license has now",
		file: "services/analytics/internal/ingest/states.go",
		old:  "s.unwritten != 0 && s.judged != l", new: "s.unwritten != 0 && s.judged.ID != l.ID",
		pkg: "./services/analytics/internal/ingest", tests: "TestMemoryIsExact",
	},
}
