// Package errcode names every public error_code once. docs/errors.md tells users what each means and what to do. The
// error itself is made where it is decided, in an errors.go, where its kind (pkg/apierr) decides the status; what
// clients of LicenseSpring are told instead, in codes of license's dialect/licensespring/errors.go.
package errcode

// The codes of the main API.
const (
	LicenseNotFound     = "LICENSE_NOT_FOUND"
	LicenseInactive     = "LICENSE_INACTIVE"
	LicenseExpired      = "LICENSE_EXPIRED"
	DeviceLimitExceeded = "DEVICE_LIMIT_EXCEEDED"
	AlreadyActivated    = "ALREADY_ACTIVATED"
	InvalidToken        = "INVALID_TOKEN"
	RateLimitExceeded   = "RATE_LIMIT_EXCEEDED"
)

// The codes of what the main API leaves open.
const (
	LicensePerpetual     = "LICENSE_PERPETUAL"
	LicenseNotTrial      = "LICENSE_NOT_TRIAL"
	EnrollmentKeyInvalid = "ENROLLMENT_KEY_INVALID"
	LicenseSuspended     = "LICENSE_SUSPENDED"
	LicenseNotStarted    = "LICENSE_NOT_STARTED"
	InvalidAPIKey        = "INVALID_API_KEY"
	InvalidAdminKey      = "INVALID_ADMIN_KEY"
	InvalidAdminSecret   = "INVALID_ADMIN_SECRET"
	EndpointNotAllowed   = "ENDPOINT_NOT_ALLOWED"
	RoleNotAllowed       = "ROLE_NOT_ALLOWED"
	DeviceNotActivated   = "DEVICE_NOT_ACTIVATED"
	DeviceNotFound       = "DEVICE_NOT_FOUND"
	HardwareIDNotUnique  = "HARDWARE_ID_NOT_UNIQUE"
	DeviceBlocked        = "DEVICE_BLOCKED"
	EnvironmentForbidden = "ENVIRONMENT_NOT_ALLOWED"
	TooManyNewDevices    = "TOO_MANY_NEW_DEVICES"
	TransferLimit        = "TRANSFER_LIMIT_EXCEEDED"
	BlockNotFound        = "BLOCK_NOT_FOUND"
	BlockExists          = "BLOCK_EXISTS"
	IntegrationNotFound  = "INTEGRATION_NOT_FOUND"
	TooManyIntegrations  = "TOO_MANY_INTEGRATIONS"
	LicenseKeyExists     = "LICENSE_KEY_EXISTS"
	OfflineTokenActive   = "OFFLINE_TOKEN_ACTIVE"
	LeaseNotFound        = "LEASE_NOT_FOUND"
	LeaseExpired         = "LEASE_EXPIRED"
	LeaseReleased        = "LEASE_RELEASED"
	LeaseEvicted         = "LEASE_EVICTED"
	LeaseLimitExceeded   = "LEASE_LIMIT_EXCEEDED"
	FloatingNotAllowed   = "FLOATING_NOT_ALLOWED"
	BorrowingNotAllowed  = "BORROWING_NOT_ALLOWED"
	OfflineNotAllowed    = "OFFLINE_NOT_ALLOWED"
	InvalidSignature     = "INVALID_SIGNATURE"
	RootKeyExists        = "ROOT_KEY_EXISTS"
	VersionMismatch      = "VERSION_MISMATCH"
	LastOwner            = "LAST_OWNER"
	IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED"
	IdempotencyKeyInUse  = "IDEMPOTENCY_KEY_IN_USE"
	ValidationError      = "VALIDATION_ERROR"
	NotFound             = "NOT_FOUND"
	MethodNotAllowed     = "METHOD_NOT_ALLOWED"
	PayloadTooLarge      = "PAYLOAD_TOO_LARGE"
	UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE"
	HeadersTooLarge      = "HEADERS_TOO_LARGE"
	MalformedRequest     = "MALFORMED_REQUEST"
	InternalError        = "INTERNAL_ERROR"
	ServiceUnavailable   = "SERVICE_UNAVAILABLE"
	Maintenance          = "MAINTENANCE"
)

// The codes of products, releases, policies and further keys.
const (
	ProductInactive   = "PRODUCT_INACTIVE"
	VersionNotCovered = "VERSION_NOT_COVERED"
	ProductNotFound   = "PRODUCT_NOT_FOUND"
	ProductExists     = "PRODUCT_EXISTS"
	ProductInUse      = "PRODUCT_IN_USE"
	ReleaseNotFound   = "RELEASE_NOT_FOUND"
	ReleaseExists     = "RELEASE_EXISTS"
	PolicyNotFound    = "POLICY_NOT_FOUND"
	PolicyExists      = "POLICY_EXISTS"
)

// The codes of customers.
const CustomerNotFound = "CUSTOMER_NOT_FOUND"

// The codes of entitlements and counters.
const (
	EntitlementMissing       = "ENTITLEMENT_MISSING"
	EntitlementExpired       = "ENTITLEMENT_EXPIRED"
	EntitlementNotFound      = "ENTITLEMENT_NOT_FOUND"
	ConsumptionLimitExceeded = "CONSUMPTION_LIMIT_EXCEEDED"
	CounterNotFound          = "COUNTER_NOT_FOUND"
	CounterInUse             = "COUNTER_IN_USE"
	OperationNotFound        = "OPERATION_NOT_FOUND"
)

// The codes of groups, users and trials.
const (
	GroupNotFound           = "GROUP_NOT_FOUND"
	GroupLimitExceeded      = "GROUP_LIMIT_EXCEEDED"
	UserNotFound            = "USER_NOT_FOUND"
	UserExists              = "USER_EXISTS"
	UserLocked              = "USER_LOCKED"
	UserNotAssigned         = "USER_NOT_ASSIGNED"
	DeviceOfAnotherUser     = "DEVICE_OF_ANOTHER_USER"
	UserDeviceLimitExceeded = "USER_DEVICE_LIMIT_EXCEEDED"
	InvalidCredentials      = "INVALID_CREDENTIALS"
	TrialNotAllowed         = "TRIAL_NOT_ALLOWED"
)

// The codes of delegated keys.
const (
	OrganisationNotFound = "ORGANISATION_NOT_FOUND"
	MasterNotFound       = "MASTER_NOT_FOUND"
	MasterExists         = "MASTER_EXISTS"
	SlaveNotFound        = "SLAVE_NOT_FOUND"
	DelegatedKeyInvalid  = "DELEGATED_KEY_INVALID"
	CreditExhausted      = "CREDIT_EXHAUSTED"
	SlaveKeyUsed         = "SLAVE_KEY_USED"
	SlaveLimitExceeded   = "SLAVE_LIMIT_EXCEEDED"
	RuntimeKeyMismatch   = "RUNTIME_KEY_MISMATCH"
)

// The license of an installation itself.
const (
	ApplianceNotLicensed = "APPLIANCE_NOT_LICENSED"
	UpstreamRefused      = "UPSTREAM_REFUSED"
	UpstreamNotTrusted   = "UPSTREAM_NOT_TRUSTED"
	UpstreamUnavailable  = "UPSTREAM_UNAVAILABLE"
)
