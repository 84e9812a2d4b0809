package api

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

const (
	// maxPage keeps the offset of a page below 2^31; what lies beyond is far past the end of anything.
	maxPage = 10_000_000
	// maxText is the longest name or identifier, in characters.
	maxText = 255
)

// page says which part of a list is asked for, and as part of an answer, how much there is.
type page struct {
	Page       int `json:"page"`
	PerPage    int `json:"per_page"`
	Total      int `json:"total"`
	TotalPages int `json:"total_pages"`
}

func queryPage(c *gin.Context) (page, error) { return queryPageOf(c, 50, 100) }

// queryPageOf is queryPage with another number of items to a page, and another largest one.
func queryPageOf(c *gin.Context, size, most int) (page, error) {
	number, err := httpx.QueryInt(c, "page", 1, 1, maxPage)
	if err != nil {
		return page{}, err
	}
	size, err = httpx.QueryInt(c, "per_page", size, 1, most)
	return page{Page: number, PerPage: size}, err
}

// of completes the page with the number of items in all.
func (p page) of(total int) page {
	p.Total = total
	p.TotalPages = (total + p.PerPage - 1) / p.PerPage
	return p
}
