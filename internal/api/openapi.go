package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/internal/message"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/webhook"
)

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// keyTexts explain the parts of paths.
var keyTexts = map[string]string{
	"account": "The account's key.", "number": "A number in E.164, such as +14155550100.", "contact": "The contact's key in its account.", "rule": "The rule's key in its account.", "schedule": "The scheduled conference's key in its account.",
	"conference": "The conference's ID.",
	"pilot":      "A pilot: E.164, or a short code such as *86 (# is written %23).", "fqdn": "The voicemail system's name.", "request": "The requestId.", "userProfile": "The subscriber's key.",
}

const about = "Provisioning of accounts, numbers, pilots and voicemail systems, provisioning requests, call records, and what would happen to a call. " +
	"Every request shows a bearer token, which the operator makes with `signalbox token create`. What is not the token's tenant's answers as if it did not exist. " +
	"Errors are problems as in RFC 9457. Fields may be added to answers; clients pass over those they do not know."

// document is the OpenAPI document of the routes.
func (s *Server) document() object {
	made := newSchemas()
	made.of(Problem{}, false)
	made.of(provision.Event{}, false)
	made.of(message.Posted{}, false)
	paths := object{}
	for _, r := range s.routes {
		item, ok := paths[r.path].(object)
		if !ok {
			item = object{}
			if parameters := pathParameters(r.path); len(parameters) > 0 {
				item["parameters"] = parameters
			}
			paths[r.path] = item
		}
		item[strings.ToLower(r.method)] = r.operation(made)
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Signalbox", "version": "1", "description": about},
		"servers": []any{object{"url": "/"}},
		"paths":   paths,
		"webhooks": object{"message": object{"post": object{
			"summary": "A message is to be sent to somebody",
			"description": "Sent to the URL of `messages.webhook`, signed as finished is. Answer with a status of the 200s when it is on its way; other than with 408, 425 and 429, one of the 400s " +
				"says that it cannot be sent. Idempotency-Key stays the same over the tries.",
			"requestBody": object{"content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Posted"}}}},
			"responses":   object{"2XX": object{"description": "taken"}},
		}}, "finished": object{"post": object{
			"summary": "A provisioning request is done or has failed",
			"description": "Sent to the URL that the operator configured for the tenant, until it is answered with a status of the 200s, in twenty tries over some hours. " + webhook.SignatureHeader +
				": t=UNIXTIME,v1=HEX is the HMAC-SHA-256, with the shared secret, of UNIXTIME, a dot and the body; while the secret is changed there are two v1, of which one fits. Idempotency-Key stays the same over the tries.",
			"requestBody": object{"content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Event"}}}},
			"responses":   object{"2XX": object{"description": "taken"}},
		}}},
		"components": object{
			"schemas":         made.made,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "description": "signalbox token create"}},
		},
	}
}

func pathParameters(path string) []any {
	var out []any
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		out = append(out, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}, "description": keyTexts[m[1]]})
	}
	return out
}

// operation is one route in the document.
func (r route) operation(made *schemas) object {
	op := object{"operationId": r.id, "summary": r.summary, "tags": []string{r.tag}, "responses": r.responses(made)}
	text := r.detail
	if r.scope != "" {
		text = strings.TrimSpace(text + fmt.Sprintf(" Scope: `%s`.", r.scope))
		op["security"] = []any{object{"token": []string{string(r.scope)}}}
	} else {
		op["security"] = []any{}
	}
	if text != "" {
		op["description"] = text
	}
	var parameters []any
	for _, p := range r.query {
		schema := object{"type": "string"}
		if p.yes {
			schema = object{"type": "boolean"}
		}
		if p.integer {
			schema = object{"type": "integer", "minimum": p.least, "maximum": p.most}
		}
		parameters = append(parameters, object{"name": p.name, "in": "query", "schema": schema, "description": p.text})
	}
	if r.row && r.method != "GET" {
		parameters = append(parameters, object{"name": "If-Match", "in": "header", "schema": object{"type": "string"}, "description": "The entity tag that it was read with, or * for any: it is changed only if it has that."})
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if r.body != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": made.of(r.body, r.row)}}}
	}
	if r.media != nil {
		op["requestBody"] = object{"required": true, "content": files(r.media)}
	}
	return op
}

// files is the content of a body that is a file.
func files(media []string) object {
	out := object{}
	for _, m := range media {
		out[m] = object{"schema": object{"type": "string"}}
	}
	return out
}

func (r route) responses(made *schemas) object {
	out := object{}
	for _, status := range r.statuses {
		response := object{"description": map[int]string{200: "as asked", 201: "made", 202: "not finished yet", 204: "gone"}[status]}
		if r.result != nil {
			schema := made.of(r.result, r.row)
			if r.list {
				schema = object{"type": "object", "required": []string{"items"}, "properties": object{
					"items": object{"type": "array", "items": schema}, "next": object{"type": "string", "description": "cursor of the page that follows; left out at the end."}}}
			}
			response["content"] = object{"application/json": object{"schema": schema}}
		}
		if r.produces != nil {
			response["content"] = files(r.produces)
		}
		if r.row && !r.list && status != 204 {
			response["headers"] = object{"ETag": object{"schema": object{"type": "string"}, "description": "Its version."}}
		}
		out[strconv.Itoa(status)] = response
	}
	for _, kind := range r.problemKinds() {
		out[strconv.Itoa(kinds[kind].status)] = object{"description": kinds[kind].title, "content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}
	}
	return out
}

// problemKinds are the problems that a route may answer with.
func (r route) problemKinds() []string {
	out := append([]string{"rate", "unavailable"}, r.problems...)
	if r.scope != "" {
		out = append(out, "bad-request", "unauthorized", "forbidden")
	}
	if r.body != nil || r.media != nil {
		out = append(out, "too-large", "media-type", "validation")
	}
	if strings.Contains(r.path, "{") {
		out = append(out, "not-found")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *Server) openAPI(*request) (result, error) {
	text, err := json.MarshalIndent(s.document(), "", " ")
	return result{body: page{"application/json", append(text, '\n')}}, err
}
