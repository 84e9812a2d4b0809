//go:build unix

package main

const licenseFolder = "services/license/internal/"

// licenseMember gives licenses a text that administrators set, change and read.
var licenseMember = recipe{
	name:    "license-member",
	section: "Add a member to a license",
	most:    8,
	steps: []step{
		{file: licenseFolder + "licensing/license.go", after: "Metadata json.RawMessage",
			add: "\tPurchaseOrder string\n"},
		{file: licenseFolder + "licensing/create.go", after: "Metadata json.RawMessage",
			add: "\tPurchaseOrder string\n"},
		{
			file:  licenseFolder + "licensing/create.go",
			after: "Metadata: n.Metadata,",
			add:   "\t\tPurchaseOrder: n.PurchaseOrder,\n",
		},
		{
			file:  licenseFolder + "licensing/create.go",
			after: `checkText(p, "product"`,
			add:   "\tcheckText(p, \"purchase_order\", l.PurchaseOrder, false)\n",
		},
		{
			file:  licenseFolder + "licensing/create.go",
			after: `"metadata": metadataValue`,
			add:   "\t\t\"purchase_order\": l.PurchaseOrder,\n",
		},
		{file: licenseFolder + "licensing/update.go", after: "Metadata *json.RawMessage",
			add: "\tPurchaseOrder *string\n"},
		{
			file:  licenseFolder + "licensing/update.go",
			after: `l := License{CustomerID: "any"}`,
			add:   "\tset(&l.PurchaseOrder, p.PurchaseOrder)\n",
		},
		{
			file:  licenseFolder + "licensing/update.go",
			after: "set(&l.IsTest, p.IsTest)",
			add:   "\tset(&l.PurchaseOrder, p.PurchaseOrder)\n",
		},
		{
			file:  licenseFolder + "manage/body.go",
			after: "Metadata json.RawMessage",
			add:   "\tPurchaseOrder string `json:\"purchase_order\"`\n",
		},
		{file: licenseFolder + "manage/body.go", after: "object(l.Metadata),",
			add: "\t\tPurchaseOrder: l.PurchaseOrder,\n"},
		{
			file:  licenseFolder + "manage/body.go",
			after: "Metadata jsonbody.Object",
			add:   "\tPurchaseOrder string `json:\"purchase_order\"`\n",
		},
		{
			file:  licenseFolder + "manage/body.go",
			after: "json.RawMessage(n.Metadata),",
			add:   "\t\tPurchaseOrder: n.PurchaseOrder,\n",
		},
		{
			file:  licenseFolder + "manage/body.go",
			after: "Metadata jsonbody.Optional[jsonbody.Object]",
			add:   "\tPurchaseOrder jsonbody.Optional[string] `json:\"purchase_order\"`\n",
		},
		{
			file:  licenseFolder + "manage/body.go",
			after: "(*json.RawMessage)(l.Metadata.Pointer()),",
			add:   "\t\tPurchaseOrder: l.PurchaseOrder.Pointer(),\n",
		},
		{file: licenseFolder + "store/rows.go", after: "Metadata string", add: "\tPurchaseOrder string\n"},
		{
			file:  licenseFolder + "store/rows.go",
			after: "encodeMetadata(l.Metadata),",
			add:   "\t\tPurchaseOrder: l.PurchaseOrder,\n",
		},
		{
			file:  licenseFolder + "store/rows.go",
			after: "decodeMetadata(r.Metadata),",
			add:   "\t\tPurchaseOrder: r.PurchaseOrder,\n",
		},
		{file: licenseFolder + "store/migrations/postgres/00099_purchase_order.sql", add: purchaseOrderColumn},
		{file: licenseFolder + "store/migrations/sqlite/00099_purchase_order.sql", add: purchaseOrderColumn},
		{
			file:  "proto/openapi/admin.yaml",
			after: `is_test: {type: [boolean, "null"], default: false}`,
			add:   "        purchase_order: {type: string, maxLength: 255}\n",
		},
		{
			file:  "proto/openapi/admin.yaml",
			after: `deactivation_reason: {type: [string, "null"], maxLength: 255, description`,
			add:   "            purchase_order: {type: string, maxLength: 255}\n",
		},
		{
			file:  "proto/openapi/admin.yaml",
			after: `deactivation_reason: {type: [string, "null"]}`,
			add:   "        purchase_order: {type: string}\n",
		},
		{file: "services/license/recipe_test.go", add: example("license_member_test.go.txt")},
	},
	packages: []string{"./services/license"},
	tests:    "TestPurchaseOrder",
}

const purchaseOrderColumn = `-- +goose Up
ALTER TABLE licenses ADD COLUMN purchase_order text NOT NULL DEFAULT '';
`
