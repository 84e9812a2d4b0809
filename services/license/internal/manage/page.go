package manage

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// spanParameters say which part of a list is asked for: either a page, or a cursor, which reads on where another answer
// ended.
var spanParameters = []string{"page", "per_page", "cursor"}

// pageBody is what lists answer beside their items.
type pageBody struct {
	// Page is null where a cursor was asked for.
	Page    *int `json:"page"`
	PerPage int  `json:"per_page"`
	// Total and TotalPages are null where there are more items than are counted; TotalAtLeast is set then.
	Total        *int    `json:"total"`
	TotalPages   *int    `json:"total_pages"`
	TotalAtLeast *int    `json:"total_at_least,omitempty"`
	NextCursor   *string `json:"next_cursor"`
}

// querySpan reads spanParameters; per_page is 50 where it is absent, and at most 100. fits reports whether a position
// is one of the list.
func querySpan(c *gin.Context, fits func(*licensing.Position) bool) (licensing.Span, error) {
	return querySpanOf(c, 50, 100, fits)
}

// querySpanOf is querySpan with another size of pages, and most as the largest.
func querySpanOf(c *gin.Context, size, most int, fits func(*licensing.Position) bool) (licensing.Span, error) {
	p, err := httpx.QueryPage(c, size, most)
	if err != nil {
		return licensing.Span{}, err
	}
	span := licensing.Span{Page: p.Page, PerPage: p.PerPage}
	cursor, err := httpx.QueryText(c, "cursor", maxText)
	if cursor == "" || err != nil {
		return span, err
	}
	if c.Query("page") != "" {
		return span, apierr.InvalidField("cursor", "send page or cursor, not both")
	}
	if span.After = (*licensing.Position)(httpx.ParseCursor(cursor)); span.After == nil || !fits(span.After) {
		return span, apierr.InvalidField("cursor", "must be the next_cursor of another answer")
	}
	return span, nil
}

// inTime reports whether a position is one of a list by time.
func inTime(p *licensing.Position) bool {
	return p.At.Year() >= 1970 && p.At.Year() <= 9999 && uid.Is(p.Key)
}

// inCodes reports whether a position is one of a list by code.
func inCodes(p *licensing.Position) bool { return p.At.IsZero() && catalog.IsCode(p.Key) }

// inNumbers reports whether a position is one of a list that shortPage parts.
func inNumbers(p *licensing.Position) bool {
	n, err := strconv.Atoi(p.Key)
	return p.At.IsZero() && err == nil && n > 0
}

func newPageBody[T any](span licensing.Span, p licensing.Page[T]) pageBody {
	body := newCountedBody(span, p)
	if p.Total > licensing.MaxTotal {
		body.Total, body.TotalPages, body.TotalAtLeast = nil, nil, &p.Total
	}
	return body
}

// answerList answers with a part of a list: read finds what is asked for, and show puts it into the answer.
func answerList[T any](
	c *gin.Context, fits func(*licensing.Position) bool,
	read func(context.Context, licensing.Span) (licensing.Page[T], error), show func([]T, pageBody) any,
) error {
	span, err := querySpan(c, fits)
	if err != nil {
		return err
	}
	page, err := read(c.Request.Context(), span)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, show(page.Items, newPageBody(span, page)))
	return nil
}

// newCountedBody is newPageBody for lists of which all is counted.
func newCountedBody[T any](span licensing.Span, p licensing.Page[T]) pageBody {
	pages := (p.Total + span.PerPage - 1) / span.PerPage
	body := pageBody{PerPage: span.PerPage, Total: &p.Total, TotalPages: &pages}
	if span.After == nil {
		body.Page = &span.Page
	}
	if p.Next != nil {
		body.NextCursor = new(httpx.Cursor(*p.Next).String())
	}
	return body
}

// shortPage is the part that is asked for of a list that is read as a whole; a position is how many items come before.
func shortPage[T any](all []T, span licensing.Span) licensing.Page[T] {
	from := (span.Page - 1) * span.PerPage
	if span.After != nil {
		from, _ = strconv.Atoi(span.After.Key) // inNumbers has read it
	}
	from = min(from, len(all))
	to := min(from+span.PerPage, len(all))
	page := licensing.Page[T]{Items: all[from:to], Total: len(all)}
	if to < len(all) {
		page.Next = &licensing.Position{Key: strconv.Itoa(to)}
	}
	return page
}
