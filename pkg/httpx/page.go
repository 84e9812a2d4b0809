package httpx

import "github.com/gin-gonic/gin"

// maxPage keeps the offset of a page below 2^31; what lies beyond is far past the end of anything.
const maxPage = 10_000_000

// Page says which part of a list is asked for, counted from 1, and as part of an answer, how much there is.
type Page struct {
	Page       int `json:"page"`
	PerPage    int `json:"per_page"`
	Total      int `json:"total"`
	TotalPages int `json:"total_pages"`
}

// QueryPage reads page and per_page, which is size where it is absent, and at most the number most.
func QueryPage(c *gin.Context, size, most int) (Page, error) {
	number, err := QueryInt(c, "page", 1, 1, maxPage)
	if err != nil {
		return Page{}, err
	}
	size, err = QueryInt(c, "per_page", size, 1, most)
	return Page{Page: number, PerPage: size}, err
}

// Of completes the page with the number of items in all.
func (p Page) Of(total int) Page {
	p.Total = total
	p.TotalPages = (total + p.PerPage - 1) / p.PerPage
	return p
}
